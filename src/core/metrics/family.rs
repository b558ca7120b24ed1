//! Figures with names and labels, and the two forms in which they are told: Prometheus' text, and Vault's JSON. Knows
//! nothing of what they mean.

use std::fmt::Write as _;
use std::time::Duration;

use crate::api::json::{Json, Object};
use crate::clock::Timestamp;
use crate::metrics::{BOUNDS_NS, Reading};

/// All figures of one name.
pub(super) struct Family {
    /// In words with dots between them, as Vault's JSON has it.
    name: &'static str,
    help: &'static str,
    kind: Kind,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    /// How often, and for how many milliseconds: that is how Vault measures.
    Summary,
    /// The same in seconds, with buckets.
    Histogram,
}

struct Sample {
    labels: Labels,
    value: Value,
}

pub(super) type Labels = Vec<(&'static str, String)>;

pub(super) enum Value {
    Whole(i64),
    Part(f64),
    Times(Box<Reading>),
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Whole(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Self::Whole(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Whole(flag.into())
    }
}

impl Family {
    pub(super) fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Gauge, samples: Vec::new() }
    }

    pub(super) fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Counter, samples: Vec::new() }
    }

    pub(super) fn summary(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Summary, samples: Vec::new() }
    }

    pub(super) fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, help, kind: Kind::Histogram, samples: Vec::new() }
    }

    /// The family with one more figure.
    pub(super) fn with(mut self, labels: Labels, value: impl Into<Value>) -> Self {
        self.add(labels, value);
        self
    }

    /// The family with its only figure.
    pub(super) fn of(self, value: impl Into<Value>) -> Self {
        self.with(Vec::new(), value)
    }

    /// The family with its only times; those of nothing are zero.
    pub(super) fn of_times(self, reading: Option<Reading>) -> Self {
        self.of(Value::Times(Box::new(reading.unwrap_or_default())))
    }

    pub(super) fn add(&mut self, labels: Labels, value: impl Into<Value>) {
        self.samples.push(Sample { labels, value: value.into() });
    }
}

// === Prometheus' text, version 0.0.4 ===

pub(super) fn text(families: &[Family]) -> String {
    let mut text = String::new();
    for Family { name, help, kind, samples } in families.iter().filter(|family| !family.samples.is_empty()) {
        let name = name.replace('.', "_");
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {}", kind.name());
        for Sample { labels, value } in samples {
            let shown = label_text(labels, None);
            let _ = match value {
                Value::Whole(number) => writeln!(text, "{name}{shown} {number}"),
                Value::Part(number) => writeln!(text, "{name}{shown} {number}"),
                Value::Times(reading) => {
                    if *kind == Kind::Histogram {
                        write_buckets(&mut text, &name, labels, reading);
                    }
                    let (total, count) = (kind.total(reading), reading.count());
                    writeln!(text, "{name}_sum{shown} {total}\n{name}_count{shown} {count}")
                }
            };
        }
    }
    text
}

fn write_buckets(text: &mut String, name: &str, labels: &Labels, reading: &Reading) {
    let mut up_to = 0;
    let bounds = BOUNDS_NS.iter().map(|ns| Duration::from_nanos(*ns).as_secs_f64().to_string());
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(reading.buckets) {
        up_to += count;
        let _ = writeln!(text, "{name}_bucket{} {up_to}", label_text(labels, Some(&bound)));
    }
}

fn label_text(labels: &Labels, bound: Option<&String>) -> String {
    let escaped = |value: &String| value.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
    let labels = labels.iter().map(|(name, value)| (*name, value)).chain(bound.map(|bound| ("le", bound)));
    let pairs: Vec<_> = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if pairs.is_empty() { String::new() } else { format!("{{{}}}", pairs.join(",")) }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Summary => "summary",
            Self::Histogram => "histogram",
        }
    }

    /// The sum of times in its unit.
    fn total(self, reading: &Reading) -> f64 {
        self.scaled(Duration::from_nanos(reading.total_ns))
    }

    fn scaled(self, time: Duration) -> f64 {
        match self {
            Self::Summary => time.as_secs_f64() * 1_000.0,
            Self::Gauge | Self::Counter | Self::Histogram => time.as_secs_f64(),
        }
    }
}

// === Vault's JSON ===

/// All figures, counted from the start of the server and not, as Vault's are, from the last ten seconds. What a counter
/// counts, counts as one each; the extremes and the deviation of times are those that the buckets allow to say.
pub(super) fn json(families: &[Family], since: Timestamp, now: Timestamp) -> Json {
    let seconds = Duration::try_from(now.duration_since(since)).unwrap_or_default().as_secs_f64().max(1.0);
    let of = |wanted: &'static [Kind]| {
        let families = families.iter().filter(move |family| wanted.contains(&family.kind));
        families.flat_map(|family| family.samples.iter().map(move |sample| (family, sample)))
    };
    let mut object = Object::with_capacity(64 << 10);
    object.set("Timestamp", now.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string());
    object.set_list("Gauges", of(&[Kind::Gauge]), |object, (family, sample)| {
        object.set("Name", family.name);
        match &sample.value {
            Value::Whole(number) => object.set("Value", number),
            Value::Part(number) => object.set("Value", number),
            Value::Times(reading) => object.set("Value", reading.count()),
        };
        set_labels(object, &sample.labels);
    });
    object.set("Points", [(); 0]);
    object.set_list("Counters", of(&[Kind::Counter]), |object, (family, sample)| {
        let count = match &sample.value {
            Value::Whole(count) => u64::try_from(*count).unwrap_or_default(),
            Value::Part(_) => 0,
            Value::Times(reading) => reading.count(),
        };
        let one = u8::from(count > 0);
        let figures = Figures { count, sum: whole(count), min: one.into(), max: one.into(), deviation: 0.0 };
        figures.tell(object, family.name, seconds, &sample.labels);
    });
    object.set_list("Samples", of(&[Kind::Summary, Kind::Histogram]), |object, (family, sample)| {
        let figures = match &sample.value {
            Value::Times(reading) => Figures::of(reading, family.kind),
            Value::Whole(_) | Value::Part(_) => Figures::default(),
        };
        figures.tell(object, family.name, seconds, &sample.labels);
    });
    object.finish()
}

fn set_labels(object: &mut Object, labels: &Labels) {
    object.set_object("Labels", |object| {
        for (name, value) in labels {
            object.set(name, value);
        }
    });
}

#[derive(Debug, Default, PartialEq)]
struct Figures {
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    deviation: f64,
}

impl Figures {
    fn of(reading: &Reading, kind: Kind) -> Self {
        let bound = |ns: Option<&u64>| kind.scaled(Duration::from_nanos(ns.copied().unwrap_or(BOUND_LAST_NS)));
        let lower = |bucket: usize| bucket.checked_sub(1).map_or(0.0, |before| bound(BOUNDS_NS.get(before)));
        let upper = |bucket: usize| bound(BOUNDS_NS.get(bucket));
        let filled = || reading.buckets.iter().enumerate().filter(|(_, count)| **count > 0);
        let (count, sum) = (reading.count(), kind.total(reading));
        let mean = sum / whole(count.max(1));
        let squares = filled().map(|(bucket, count)| {
            let middle = f64::midpoint(lower(bucket), upper(bucket));
            (middle - mean).powi(2) * whole(*count)
        });
        Self {
            count,
            sum,
            min: filled().next().map_or(0.0, |(bucket, _)| lower(bucket)),
            max: filled().next_back().map_or(0.0, |(bucket, _)| upper(bucket)),
            deviation: (squares.sum::<f64>() / whole(count.max(1))).sqrt(),
        }
    }

    fn tell(&self, object: &mut Object, name: &str, seconds: f64, labels: &Labels) {
        let Self { count, sum, min, max, deviation } = self;
        object.set("Name", name).set("Count", count).set("Rate", sum / seconds).set("Sum", sum);
        object.set("Min", min).set("Max", max).set("Mean", sum / whole((*count).max(1))).set("Stddev", deviation);
        set_labels(object, labels);
    }
}

/// A count among figures that are not whole. Exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "nobody reads the last digits of so large a count")]
fn whole(count: u64) -> f64 {
    count as f64
}

const BOUND_LAST_NS: u64 = 10_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Class, Meter};

    fn reading(times_us: &[u64]) -> Option<Reading> {
        let meter = Meter::default();
        for us in times_us {
            meter.note(Class::Done, Duration::from_micros(*us));
        }
        meter.read()
    }

    #[test]
    fn prometheus_reads_the_text() {
        let labelled = vec![("path", "a\"b\\c\nd".to_owned()), ("op", "read".to_owned())];
        let families = [
            Family::gauge("vault.core.unsealed", "Whether.").of(true),
            Family::gauge("coffer.none", "Nothing has it."),
            Family::counter("coffer.moved_total", "Moved.").with(labelled, 7_u64).with(Vec::new(), 0_u64),
            Family::summary("vault.core.handle_request", "Took.").of_times(reading(&[1_000, 500])),
        ];
        let expected = "# HELP vault_core_unsealed Whether.\n# TYPE vault_core_unsealed gauge\nvault_core_unsealed 1\n\
                        # HELP coffer_moved_total Moved.\n# TYPE coffer_moved_total counter\n\
                        coffer_moved_total{path=\"a\\\"b\\\\c\\nd\",op=\"read\"} 7\ncoffer_moved_total 0\n\
                        # HELP vault_core_handle_request Took.\n# TYPE vault_core_handle_request summary\n\
                        vault_core_handle_request_sum 1.5\nvault_core_handle_request_count 2\n";
        assert_eq!(text(&families), expected);
    }

    #[test]
    fn buckets_count_what_is_not_longer() {
        let family = Family::histogram("t", "T.")
            .with(vec![("a", "b".to_owned())], Value::Times(Box::new(reading(&[20, 30, 30, 60_000_000]).unwrap())));
        let text = text(&[family]);
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("t_")).collect();
        assert_eq!(lines.len(), BOUNDS_NS.len() + 3);
        assert_eq!(
            lines[..3],
            [
                "t_bucket{a=\"b\",le=\"0.000025\"} 1",
                "t_bucket{a=\"b\",le=\"0.00005\"} 3",
                "t_bucket{a=\"b\",le=\"0.0001\"} 3"
            ]
        );
        assert_eq!(
            lines[13..],
            [
                "t_bucket{a=\"b\",le=\"10\"} 3",
                "t_bucket{a=\"b\",le=\"+Inf\"} 4",
                "t_sum{a=\"b\"} 60.00008",
                "t_count{a=\"b\"} 4"
            ]
        );
    }

    #[test]
    fn vaults_json_has_its_five_members() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let families = [
            Family::gauge("g", "G.").with(vec![("l", "v".to_owned())], Value::Part(0.5)),
            Family::counter("c", "C.").of(4_u64),
            Family::summary("s", "S.").of_times(reading(&[40, 60])),
        ];
        let told: serde_json::Value = serde_json::from_slice(&json(&families, at(0), at(2)).0).unwrap();
        let expected = serde_json::json!({
            "Timestamp": "1970-01-01 00:00:02 +0000 UTC",
            "Gauges": [{"Name": "g", "Value": 0.5, "Labels": {"l": "v"}}],
            "Points": [],
            "Counters": [{"Name": "c", "Count": 4, "Rate": 2.0, "Sum": 4.0, "Min": 1.0, "Max": 1.0, "Mean": 1.0, "Stddev": 0.0, "Labels": {}}],
            "Samples": [{"Name": "s", "Count": 2, "Rate": 0.05, "Sum": 0.1, "Min": 0.025, "Max": 0.1, "Mean": 0.05, "Stddev": told["Samples"][0]["Stddev"], "Labels": {}}],
        });
        assert_eq!(told, expected);
        let deviation = told["Samples"][0]["Stddev"].as_f64().unwrap();
        assert!((0.01..0.03).contains(&deviation), "{deviation}");
    }
}
