//! Turns figures into a Markdown table for people and JSON for machines. It judges nothing: that was done before.

use std::fs;

use anyhow::Result;
use serde_json::json;

use crate::{
    figures::{Durability, Figures, Overhead, Plan, Side, Spread, Target},
    load::cores,
    server::Kind,
};

/// The tables of what was measured: of loads whose target is about the operation itself there is one of its own, and of
/// those that must be on disk.
pub(crate) fn tables(figures: &[Figures]) -> String {
    let (durables, others): (Vec<_>, Vec<_>) = figures.iter().partition(|it| it.durability.is_some());
    let (overheads, ratios): (Vec<_>, Vec<_>) = others.into_iter().partition(|it| it.overhead.is_some());
    let with_title = |titles: &[&str], rows: Vec<Vec<String>>| {
        let title = titles.iter().map(|&title| title.to_owned()).collect();
        if rows.is_empty() { None } else { Some(table(&[vec![title], rows].concat())) }
    };
    let tables = [
        with_title(&RATIO_TITLES, ratios.into_iter().map(ratio_row).collect()),
        with_title(&OVERHEAD_TITLES, overheads.into_iter().filter_map(overhead_row).collect()),
        with_title(&DURABLE_TITLES, durables.into_iter().filter_map(durable_row).collect()),
    ];
    tables.into_iter().flatten().collect::<Vec<_>>().join("\n")
}

/// Rows of equal length, titles first, as a table whose columns line up, so that it reads as well in a terminal as in a
/// document.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
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
        Kind::Coffer { .. } => "",
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

const RATIO_TITLES: [&str; 9] =
    ["workload", "unit", "Coffer", "bare", "ratio (least–most)", "Coffer/s", "bare/s", "target", "verdict"];

const OVERHEAD_TITLES: [&str; 9] =
    ["workload", "unit", "Coffer", "alone", "bare", "overhead (least–most)", "Coffer/s", "target", "verdict"];

const DURABLE_TITLES: [&str; 9] = [
    "workload",
    "unit",
    "connections",
    "Coffer",
    "bare",
    "Coffer/s (least–most)",
    "fsync, ms (least–most)",
    "target",
    "verdict",
];

fn ratio_row(figures: &Figures) -> Vec<String> {
    let ratio = figures.ratio;
    vec![
        figures.workload.to_owned(),
        figures.unit.clone(),
        number(figures.coffer.cost),
        number(figures.bare.cost),
        format!("{:.2} ({:.2}–{:.2})", ratio.median, ratio.least, ratio.most),
        rate(&figures.coffer),
        rate(&figures.bare),
        target(figures),
        verdict(figures),
    ]
}

fn overhead_row(figures: &Figures) -> Option<Vec<String>> {
    let Overhead { alone, requests } = figures.overhead?;
    Some(vec![
        figures.workload.to_owned(),
        figures.unit.clone(),
        number(figures.coffer.cost),
        number(alone),
        number(figures.bare.cost),
        format!("{:.2} ({:.2}–{:.2}) bare", requests.median, requests.least, requests.most),
        rate(&figures.coffer),
        target(figures),
        verdict(figures),
    ])
}

fn durable_row(figures: &Figures) -> Option<Vec<String>> {
    let Durability { connections, rate, fsync_ms } = figures.durability?;
    let spread = |it: Spread| format!("{} ({}–{})", number(it.median), number(it.least), number(it.most));
    Some(vec![
        figures.workload.to_owned(),
        figures.unit.clone(),
        connections.to_string(),
        number(figures.coffer.cost),
        number(figures.bare.cost),
        spread(rate),
        spread(fsync_ms),
        target(figures),
        verdict(figures),
    ])
}

fn verdict(figures: &Figures) -> String {
    if figures.passed { "pass" } else { "missed" }.to_owned()
}

/// What is wanted, and the cost that this comes to beside this bare server.
fn target(figures: &Figures) -> String {
    let bare = figures.bare.cost;
    match figures.target {
        Target::RatioAtLeast(least) => format!("ratio ≥ {least:.2}, {} µs", number(bare / least)),
        Target::CostBelow(limit) => format!("< {limit} {}", figures.unit),
        Target::OverheadAtMost(most) => {
            let alone = figures.overhead.map_or(0.0, |overhead| overhead.alone);
            format!("≤ {most} bare, {} µs", number(alone + most * bare))
        }
        Target::Durable { cost_max, .. } if figures.durability.is_some_and(Durability::disk_is_slow) => {
            format!("< {cost_max} µs")
        }
        Target::Durable { cost_max, rate_min } => format!("< {cost_max} µs, ≥ {rate_min}/s"),
    }
}

fn rate(side: &Side) -> String {
    side.rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.0}"))
}

/// Three digits or so, whatever the size.
pub(crate) fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

pub(crate) fn processor() -> String {
    let description = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = description.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or("unknown processor", |(_, name)| name).to_owned()
}
