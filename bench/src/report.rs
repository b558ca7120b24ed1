//! Turns figures into a Markdown table for people and JSON for machines. It judges nothing: that was done before.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::{
    figures::{Figures, Plan, Side, Target},
    load::cores,
    server::Kind,
};

/// A table whose columns line up, so that it reads as well in a terminal as in a document.
pub(crate) fn table(figures: &[Figures]) -> String {
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(figures.iter().map(row));
    let widths: Vec<_> =
        (0..TITLES.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let line = |row: &[String]| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<_> = widths.iter().map(|&width| "-".repeat(width)).collect();
    rows.iter().enumerate().map(|(index, row)| if index == 0 { line(row) + &line(&rule) } else { line(row) }).collect()
}

/// The machine and the plan in one line.
pub(crate) fn heading(plan: &Plan) -> String {
    let stand_in = match plan.contender {
        Kind::Coffer(_) => "",
        Kind::Bare => "; the bare server stands in both columns",
    };
    format!(
        "{}, {} cores; {} connections; medians of {} rounds of {:?}{stand_in}",
        processor(),
        cores(),
        plan.shape.connections,
        plan.rounds,
        plan.shape.window
    )
}

/// A warning if other work on the machine was in the way.
pub(crate) fn caution(figures: &[Figures]) -> Option<String> {
    let others = figures.iter().filter_map(|it| it.others_percent).max_by(f64::total_cmp)?;
    let text = format!("Other processes took up to {others:.0}% of the machine: run this again when it is quiet.");
    (others > OTHERS_PERCENT_MAX).then_some(text)
}

/// Everything that was measured, with the machine and the plan.
pub(crate) fn document(figures: &[Figures], plan: &Plan) -> Result<String> {
    let document = json!({
        "processor": processor(),
        "cores": cores(),
        "connections": plan.shape.connections,
        "rounds": plan.rounds,
        "seconds": plan.shape.window.as_secs_f64(),
        "figures": figures,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Above this share of the machine, two runs of the same server differ by more than a tenth.
const OTHERS_PERCENT_MAX: f64 = 5.0;

const TITLES: [&str; 9] =
    ["workload", "unit", "Coffer", "bare", "ratio (least–most)", "Coffer/s", "bare/s", "target", "verdict"];

fn row(figures: &Figures) -> [String; TITLES.len()] {
    let ratio = figures.ratio;
    [
        figures.workload.to_owned(),
        figures.unit.clone(),
        number(figures.coffer.cost),
        number(figures.bare.cost),
        format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.most),
        rate(&figures.coffer),
        rate(&figures.bare),
        target(figures),
        if figures.passed { "pass" } else { "missed" }.to_owned(),
    ]
}

/// A ratio is also told as the cost that it comes to beside this bare server.
fn target(figures: &Figures) -> String {
    match figures.target {
        Target::RatioAtLeast(least) => format!("ratio ≥ {least:.2}, {} µs", number(figures.bare.cost / least)),
        Target::CostBelow(limit) => format!("< {limit} {}", figures.unit),
    }
}

fn rate(side: &Side) -> String {
    side.rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}"))
}

/// Three digits or so, whatever the size.
fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn processor() -> String {
    let description = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = description.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, name)| name).to_owned()
}
