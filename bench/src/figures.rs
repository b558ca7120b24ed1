//! Takes the figures: rounds of Coffer and the bare server by turns, and the medians of what they gave. It prints nothing.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::{
    alone,
    load::{self, Shape, Window},
    scratch::Scratch,
    server::{Kind, Server},
    workloads::{Load, Measure, Probe, Wanted, Workload},
};

/// How a run is made.
pub(crate) struct Plan {
    /// What stands in Coffer's place: Coffer, or the bare server once more to see what the machine's noise is.
    pub(crate) contender: Kind,
    pub(crate) rounds: u32,
    pub(crate) shape: Shape,
}

/// The figures of one workload. Costs and rates are medians; ratios are medians of each round's ratio, and the extremes.
#[derive(Serialize)]
pub(crate) struct Figures {
    pub(crate) workload: &'static str,
    pub(crate) about: &'static str,
    /// What `coffer.cost` counts.
    pub(crate) unit: String,
    pub(crate) coffer: Side,
    pub(crate) bare: Side,
    /// The share of the machine's cores that other processes took meanwhile, in percent; none for a probe.
    pub(crate) others_percent: Option<f64>,
    /// Work for the same CPU time, memory or wall time, the bare server's being 1: above 1 Coffer is the better one.
    pub(crate) ratio: Spread,
    /// Of a load whose target says so.
    pub(crate) overhead: Option<Overhead>,
    /// Of a load that must be on disk.
    pub(crate) durability: Option<Durability>,
    pub(crate) target: Target,
    pub(crate) passed: bool,
}

#[derive(Serialize)]
pub(crate) struct Side {
    pub(crate) cost: f64,
    /// Requests, or items of a batch, in a second of wall time; none for a probe.
    pub(crate) rate: Option<f64>,
    /// CPU time in µs that the load generator spent on each request; none for a probe.
    pub(crate) generator: Option<f64>,
}

/// What Coffer adds to the operation that a request asks for.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Overhead {
    /// CPU time in µs of the operation by itself.
    pub(crate) alone: f64,
    /// The CPU time of a request less that of the operation, in requests to the bare server.
    pub(crate) requests: Spread,
}

/// How it went on disk.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Durability {
    pub(crate) connections: u32,
    /// Coffer's answers in a second of wall time.
    pub(crate) rate: Spread,
    /// Milliseconds that one small fsync takes on the same disk while no server uses it.
    pub(crate) fsync_ms: Spread,
}

#[derive(Clone, Copy, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    RatioAtLeast(f64),
    CostBelow(f64),
    /// In requests to the bare server.
    OverheadAtMost(f64),
    /// In µs, and in answers a second where an fsync takes less than 1 ms.
    Durable {
        cost_max: f64,
        rate_min: f64,
    },
}

/// Measures one workload.
pub(crate) fn measure(workload: &Workload, plan: &Plan) -> Result<Figures> {
    match workload.measure {
        Measure::Load(load) => compare(workload, &load, plan),
        Measure::Probe(probe) => sample(workload, &probe, plan),
    }
    .with_context(|| workload.name)
}

fn compare(workload: &Workload, load: &Load, plan: &Plan) -> Result<Figures> {
    let (Stage { server: coffer, disk }, bare) = (&Stage::set(&plan.contender, load)?, provisioned(&Kind::Bare)?);
    let (script, items) = load.prepare(&plan.contender, coffer)?;
    let bare_script = (load.bare)(&bare)?;
    let operation = match load.wanted {
        Wanted::Ratio(_) | Wanted::Durable { .. } => None,
        Wanted::Overhead { operation, .. } => Some(operation()?),
    };
    let shape = load.shape(plan.shape);
    let mut rounds = Vec::new();
    for _ in 0..plan.rounds {
        rounds.push(Round {
            fsync_ms: disk.as_ref().map(Scratch::fsync_ms).transpose()?,
            coffer: load::run(coffer, &script, shape)?,
            alone: operation.as_ref().map(|it| alone::cost(it, shape.window / ALONE_PART)).transpose()?,
            bare: load::run(&bare, &bare_script, shape)?,
        });
    }
    let unit = format!("µs CPU/{}", if items == 1 { "request" } else { "item" });
    let items = f64::from(items);
    let ratio = spread(rounds.iter().map(|round| round.bare.cost() / (round.coffer.cost() / items)));
    let overhead = operation.map(|_| Overhead {
        alone: spread(rounds.iter().filter_map(|round| round.alone)).median,
        requests: spread(rounds.iter().filter_map(Round::overhead)),
    });
    let durability = disk.as_ref().map(|_| Durability {
        connections: shape.connections,
        rate: spread(rounds.iter().map(|round| round.coffer.rate())),
        fsync_ms: spread(rounds.iter().filter_map(|round| round.fsync_ms)),
    });
    let coffer = side(rounds.iter().map(|round| &round.coffer), items);
    let target = Target::of(load.wanted);
    let windows = rounds.iter().flat_map(|round| [&round.coffer, &round.bare]);
    Ok(Figures {
        workload: workload.name,
        about: workload.about,
        unit,
        passed: match durability {
            Some(durability) => target.met(coffer.cost) && durability.meets(target),
            None => target.met(overhead.map_or(ratio, |it| it.requests).median),
        },
        bare: side(rounds.iter().map(|round| &round.bare), 1.0),
        others_percent: Some(spread(windows.map(Window::others_percent)).median),
        coffer,
        ratio,
        overhead,
        durability,
        target,
    })
}

/// One window of each side, and the cost in µs of the operation by itself between them; before them, what the disk can do.
struct Round {
    fsync_ms: Option<f64>,
    coffer: Window,
    alone: Option<f64>,
    bare: Window,
}

impl Round {
    fn overhead(&self) -> Option<f64> {
        self.alone.map(|alone| (self.coffer.cost() - alone) / self.bare.cost())
    }
}

fn sample(workload: &Workload, probe: &Probe, plan: &Plan) -> Result<Figures> {
    let mut samples = Vec::new();
    for _ in 0..plan.rounds {
        samples.push(((probe.sample)(&plan.contender)?, (probe.sample)(&Kind::Bare)?));
    }
    let ratio = spread(samples.iter().map(|(coffer, bare)| bare / coffer));
    let side = |costs: Vec<f64>| Side { cost: spread(costs.into_iter()).median, rate: None, generator: None };
    let coffer = side(samples.iter().map(|sample| sample.0).collect());
    let target = Target::CostBelow(probe.limit);
    Ok(Figures {
        workload: workload.name,
        about: workload.about,
        unit: probe.unit.to_owned(),
        passed: target.met(coffer.cost),
        others_percent: None,
        bare: side(samples.iter().map(|sample| sample.1).collect()),
        coffer,
        ratio,
        overhead: None,
        durability: None,
        target,
    })
}

/// A server for one load, and the directory of its data if they are on disk.
pub(crate) struct Stage {
    pub(crate) server: Server,
    disk: Option<Scratch>,
}

impl Stage {
    /// Starts what stands in Coffer's place.
    pub(crate) fn set(contender: &Kind, load: &Load) -> Result<Self> {
        Ok(match (load.wanted, contender) {
            (Wanted::Durable { .. }, Kind::Coffer { program, .. }) => {
                let disk = Scratch::make()?;
                let kind = Kind::Coffer { program: program.clone(), data: Some(disk.data()), config: None };
                Stage { server: provisioned(&kind)?, disk: Some(disk) }
            }
            _ => Stage { server: provisioned(contender)?, disk: None },
        })
    }
}

/// A running server that has what the workloads use.
fn provisioned(kind: &Kind) -> Result<Server> {
    let server = Server::start(kind)?;
    server.provision()?;
    Ok(server)
}

fn side<'a>(windows: impl Iterator<Item = &'a Window> + Clone, items: f64) -> Side {
    Side {
        cost: spread(windows.clone().map(|window| window.cost() / items)).median,
        rate: Some(spread(windows.clone().map(|window| window.rate() * items)).median),
        generator: Some(spread(windows.map(Window::generator_cost)).median),
    }
}

impl Window {
    /// Server CPU time in µs for each request.
    pub(crate) fn cost(&self) -> f64 {
        micros(self.server_cpu) / f64::from(self.requests)
    }

    fn generator_cost(&self) -> f64 {
        micros(self.generator_cpu) / f64::from(self.requests)
    }

    /// The share of all cores that neither the server nor the generator took.
    fn others_percent(&self) -> f64 {
        let others = self.machine_cpu.saturating_sub(self.server_cpu + self.generator_cpu);
        100.0 * others.as_secs_f64() / (self.elapsed.as_secs_f64() * f64::from(load::cores()))
    }

    /// Requests in a second.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.requests) / self.elapsed.as_secs_f64()
    }
}

impl Durability {
    /// Whether the rate is good enough for this disk.
    fn meets(self, target: Target) -> bool {
        match target {
            Target::Durable { rate_min, .. } => self.disk_is_slow() || self.rate.median >= rate_min,
            _ => true,
        }
    }

    /// Whether no rate can be asked of it.
    pub(crate) fn disk_is_slow(self) -> bool {
        self.fsync_ms.median >= FSYNC_MS_MAX
    }
}

impl Target {
    fn of(wanted: Wanted) -> Self {
        match wanted {
            Wanted::Ratio(least) => Target::RatioAtLeast(least),
            Wanted::Overhead { requests_max, .. } => Target::OverheadAtMost(requests_max),
            Wanted::Durable { cost_max, rate_min, .. } => Target::Durable { cost_max, rate_min },
        }
    }

    /// Whether what was measured of what the target is about is good enough; of a durable load, its cost.
    fn met(self, measured: f64) -> bool {
        match self {
            Target::RatioAtLeast(least) => measured >= least,
            Target::CostBelow(limit) | Target::Durable { cost_max: limit, .. } => measured < limit,
            Target::OverheadAtMost(most) => measured <= most,
        }
    }
}

/// Where a small fsync takes longer, the rate says more of the disk than of Coffer.
const FSYNC_MS_MAX: f64 = 1.0;
/// Of a window's length, what the operation by itself runs for on each core.
const ALONE_PART: u32 = 4;

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The median (of an even number of values, the mean of the middle two) and the extremes; zeros for no values.
fn spread(values: impl Iterator<Item = f64>) -> Spread {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    let last = values.len().saturating_sub(1);
    Spread { median: f64::midpoint(at(last / 2), at(values.len() / 2)), least: at(0), most: at(last) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads() {
        fn check(values: &[f64], expected: (f64, f64, f64)) {
            let Spread { median, least, most } = spread(values.iter().copied());
            assert_eq!((median, least, most), expected, "{values:?}");
        }
        check(&[4.0], (4.0, 4.0, 4.0));
        check(&[5.0, 1.0, 3.0], (3.0, 1.0, 5.0));
        check(&[8.0, 2.0, 1.0, 4.0], (3.0, 1.0, 8.0));
    }

    #[test]
    fn targets() {
        assert!(Target::RatioAtLeast(0.7).met(0.7));
        assert!(!Target::RatioAtLeast(0.71).met(0.7));
        assert!(Target::CostBelow(20.1).met(20.0));
        assert!(!Target::CostBelow(20.0).met(20.0));
        assert!(Target::OverheadAtMost(1.5).met(1.5));
        assert!(!Target::OverheadAtMost(1.5).met(1.51));
    }

    #[test]
    fn a_slow_disk_need_not_reach_a_rate() {
        fn check(rate: f64, fsync_ms: f64, expected: bool) {
            let of = |median| Spread { median, least: 0.0, most: f64::MAX };
            let durability = Durability { connections: 1, rate: of(rate), fsync_ms: of(fsync_ms) };
            let target = Target::Durable { cost_max: 60.0, rate_min: 100.0 };
            assert_eq!(durability.meets(target), expected, "{rate}/s, {fsync_ms} ms");
        }
        check(100.0, 0.9, true);
        check(99.0, 0.9, false);
        check(99.0, 1.0, true);
    }
}
