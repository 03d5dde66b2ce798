//! How the cost of a cycle grows with agents and with frameworks; with `--plot` as a picture in `docs/`.

use std::fmt::Write as _;

use harness::bench::{Report, Target, in_turn};

use crate::Settings;
use crate::cluster::{Cluster, size, thousands};
use crate::floor::Floor;

const AGENTS: [usize; 6] = [1_000, 2_000, 5_000, 10_000, 20_000, 50_000];
const FRAMEWORKS: [usize; 7] = [50, 100, 200, 500, 1_000, 2_000, 5_000];
/// What the one has while the other grows.
const FIXED_FRAMEWORKS: usize = 200;
const FIXED_AGENTS: usize = 10_000;

const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/allocation_cost.svg");

/// A size, and milliseconds of the core's cycle and of the floor's.
type Point = (usize, f64, f64);

pub(crate) fn run(settings: &Settings, report: &mut Report) {
    report.note("agents x frameworks; everything is given back between cycles; medians");
    let agents: Vec<Point> =
        AGENTS.into_iter().map(|agents| measure(report, agents, FIXED_FRAMEWORKS, agents)).collect();
    let frameworks: Vec<Point> = FRAMEWORKS
        .into_iter()
        .map(|frameworks| measure(report, FIXED_AGENTS, frameworks, frameworks))
        .collect();
    // Linear is 1. What does not fit into the processor's caches costs more, and the floor shows how much.
    let exponent = |of: fn(&Point) -> f64| {
        let (first, last) = (&agents[0], &agents[agents.len() - 1]);
        (of(last) / of(first)).ln() / (last.0 as f64 / first.0 as f64).ln()
    };
    report.figure("exponent of the floor in agents", exponent(|point| point.2), "", Target::None);
    report.figure("exponent of the cycle in agents", exponent(|point| point.1), "", Target::AtMost(1.2));
    let (first, last) = (&frameworks[0], &frameworks[frameworks.len() - 1]);
    let logarithms = (last.0 as f64).ln() / (first.0 as f64).ln();
    let name = format!("cycle with {} frameworks for each with {}", last.0, first.0);
    report.figure(&name, last.1 / first.1, "times", Target::None);
    report.figure(
        "that, for each logarithm of frameworks",
        last.1 / first.1 / logarithms,
        "times",
        Target::AtMost(1.0),
    );
    if settings.plot {
        let drawn = std::fs::write(PICTURE, draw(&agents, &frameworks));
        report.note(match drawn {
            Ok(()) => format!("drawn: {PICTURE}"),
            Err(error) => format!("not drawn, {PICTURE}: {error}"),
        });
    }
}

fn measure(report: &mut Report, agents: usize, frameworks: usize, grows: usize) -> Point {
    let mut cluster = Cluster::new().free(agents, frameworks);
    let mut floor = Floor::new(agents, frameworks);
    let rounds = if agents <= 10_000 { 7 } else { 5 };
    let turns = in_turn(rounds, [&mut || cluster.cycle_and_back(), &mut || floor.cycle_and_back()]);
    let (core, floor) = (turns.median(0), turns.median(1));
    report.figure(&format!("floor, {}", size(agents, frameworks)), floor, "ms", Target::None);
    report.figure(&format!("cycle, {}", size(agents, frameworks)), core, "ms", Target::None);
    (grows, core, floor)
}

// The picture: two panels with logarithmic axes and one scale of milliseconds.
const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 400.0;
const PANEL: f64 = 330.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 340.0;
/// Powers of ten of the milliseconds at the bottom and at the top.
const DECADES: (i32, i32) = (-2, 2);

const HEAD: &str = r#"<style>
  svg { --back: #fcfcfb; --ink: #0b0b0b; --muted: #6b6a66; --line: #dddbd6; --core: #2a78d6; --floor: #6b6a66;
        background: var(--back); font: 12px system-ui, sans-serif; }
  @media (prefers-color-scheme: dark) {
    svg { --back: #1a1a19; --ink: #ffffff; --muted: #a5a39c; --line: #3a3936; --core: #5a9ce8; --floor: #a5a39c; }
  }
  text { fill: var(--muted); }
  .title { fill: var(--ink); font-size: 15px; font-weight: 600; }
  .label { fill: var(--ink); }
  .grid { stroke: var(--line); }
  .core, .floor { fill: none; stroke-width: 2; stroke-linejoin: round; }
  .core { stroke: var(--core); }
  .floor { stroke: var(--floor); stroke-dasharray: 6 4; }
  .dot { fill: var(--core); stroke: var(--back); stroke-width: 2; }
  .of-core { fill: var(--core); font-weight: 600; }
</style>
"#;

fn draw(agents: &[Point], frameworks: &[Point]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-label=\"Milliseconds of an allocation cycle by agents and by frameworks, beside the floor\">\n{HEAD}"
    );
    let title = "What an allocation cycle costs (all axes logarithmic)";
    let _ = writeln!(svg, "<text class=\"title\" x=\"60\" y=\"26\">{title}</text>");
    let name = format!("agents, with {FIXED_FRAMEWORKS} frameworks");
    panel(&mut svg, 60.0, &name, agents);
    let name = format!("frameworks, with {} agents", thousands(FIXED_AGENTS));
    panel(&mut svg, 60.0 + PANEL + 80.0, &name, frameworks);
    svg.push_str("</svg>\n");
    svg
}

fn panel(svg: &mut String, left: f64, name: &str, points: &[Point]) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let span = (last.0 as f64 / first.0 as f64).ln();
    let x = |value: usize| left + (value as f64 / first.0 as f64).ln() / span * (PANEL - 60.0);
    let decades = f64::from(DECADES.1 - DECADES.0);
    let y = |ms: f64| BOTTOM - (ms.log10() - f64::from(DECADES.0)) / decades * (BOTTOM - TOP);
    let right = left + PANEL - 60.0;
    let _ =
        writeln!(svg, "<text class=\"label\" x=\"{left:.1}\" y=\"{:.1}\">milliseconds</text>", TOP - 14.0);
    for power in DECADES.0..=DECADES.1 {
        let (ms, at) = (10_f64.powi(power), y(10_f64.powi(power)));
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{left:.1} {at:.1}H{right:.1}\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{ms}</text>",
            left - 8.0,
            at + 4.0
        );
    }
    for (value, _, _) in points {
        let at = x(*value);
        let _ = writeln!(svg, "<path class=\"grid\" d=\"M{at:.1} {BOTTOM}v5\"/>");
        let shown = if *value < 1000 { value.to_string() } else { format!("{}k", value / 1000) };
        let _ = writeln!(
            svg,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{shown}</text>",
            BOTTOM + 20.0
        );
    }
    let middle = (left + right) / 2.0;
    let under = BOTTOM + 42.0;
    let _ = writeln!(
        svg,
        "<text class=\"label\" x=\"{middle:.1}\" y=\"{under}\" text-anchor=\"middle\">{name}</text>"
    );
    let line = |of: fn(&Point) -> f64| {
        let places = points.iter().map(|point| format!("{:.1} {:.1}", x(point.0), y(of(point))));
        format!("M{}", places.collect::<Vec<_>>().join("L"))
    };
    let _ = writeln!(svg, "<path class=\"floor\" d=\"{}\"/>", line(|point| point.2));
    let _ = writeln!(svg, "<path class=\"core\" d=\"{}\"/>", line(|point| point.1));
    for (value, core, _) in points {
        let _ = writeln!(
            svg,
            "<circle class=\"dot\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4.5\"><title>{value}: {core:.2} ms</title></circle>",
            x(*value),
            y(*core)
        );
    }
    let beside = right + 10.0;
    let _ =
        writeln!(svg, "<text class=\"of-core\" x=\"{beside:.1}\" y=\"{:.1}\">cycle</text>", y(last.1) + 4.0);
    let _ = writeln!(svg, "<text x=\"{beside:.1}\" y=\"{:.1}\">floor</text>", y(last.2) + 4.0);
}
