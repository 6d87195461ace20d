//! Bars: one card per workload, one bar per broker, the same scale on all cards of a section.

use std::fmt::Write as _;

use super::axis::Axis;
use super::{card_head, cut, escape, place, style_of};
use crate::numbers;
use crate::repeats::{COST, Measure, RATE, Spread, Workload, is_more_better, words};

/// The drawing, in units that are about a pixel of a phone.
const WIDTH: f64 = 460.0;
const NAMES: f64 = 118.0;
const VALUES: f64 = 128.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const FOOT: f64 = 36.0;
/// Letters of a broker's name that have room.
const NAME_LETTERS_MAX: usize = 17;

struct Bar<'a> {
    at: usize,
    label: &'a str,
    spread: Spread,
}

struct Chart<'a> {
    axis: &'a Axis,
    /// What the axis counts, with its unit.
    name: &'a str,
    text: &'a dyn Fn(f64) -> String,
    bars: Vec<Bar<'a>>,
    base: Option<f64>,
}

pub(super) fn costs(out: &mut String, workloads: &[Workload], labels: &[&str], base: Option<&str>) {
    let intro = "CPU time of the broker's process for each message that a subscriber got, in microseconds: shorter is better. \
                 All cards have the same logarithmic scale, a tenth from one line to the next.";
    section(out, workloads, labels, base, ("cost", "CPU per delivery", intro, "µs of broker CPU per delivery"), COST);
}

pub(super) fn rates(out: &mut String, workloads: &[Workload], labels: &[&str], base: Option<&str>) {
    let intro = "Messages that subscribers got in a second: longer is better. Where the generator was the limit (see the table) \
                 a broker could do more.";
    section(out, workloads, labels, base, ("rate", "Deliveries per second", intro, "deliveries per second"), RATE);
}

type Words<'a> = (&'a str, &'a str, &'a str, &'a str);

fn section(
    out: &mut String,
    workloads: &[Workload],
    labels: &[&str],
    base: Option<&str>,
    (id, title, intro, name): Words,
    measure: Measure,
) {
    let all = workloads.iter().flat_map(|workload| &workload.brokers).filter_map(|broker| broker.spread(measure.pick));
    let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
    for spread in all {
        low = low.min(spread.low);
        high = high.max(spread.high);
    }
    if high <= 0.0 {
        return;
    }
    let axis = decades(low, high);
    open(out, id, title, intro);
    for workload in workloads {
        let bars = bars(workload, labels, |broker| broker.spread(measure.pick));
        if bars.is_empty() {
            continue;
        }
        let _ = write!(out, "<figure class=\"card\">{}", card_head(workload));
        let of_base = workload.base(base).median(measure);
        Chart { axis: &axis, name, text: &measure.text, bars, base: of_base }.draw(out);
        out.push_str("</figure>\n");
    }
    out.push_str("</div>\n</section>\n");
}

/// Whole decades, so that no bar is without length.
fn decades(low: f64, high: f64) -> Axis {
    let (first, last) = ((low / 1.5).log10().floor() as i32, high.log10().ceil() as i32);
    let mut axis = Axis::log(10_f64.powi(first), 10_f64.powi(last.max(first + 1)));
    axis.marks = (first..=last.max(first + 1)).map(|decade| 10_f64.powi(decade)).collect();
    axis
}

pub(super) fn figures(out: &mut String, workloads: &[Workload], labels: &[&str], base: Option<&str>) {
    let intro = "Each card has its own scale, from zero.";
    let mut is_open = false;
    for workload in workloads {
        // what the generator says of itself stands in the table
        for figure in workload.figures().into_iter().filter(|figure| !figure.name.starts_with("generator_")) {
            let bars = bars(workload, labels, |broker| broker.figure(&figure.name));
            let high = bars.iter().map(|bar| bar.spread.high).fold(0.0, f64::max);
            if high <= 0.0 {
                continue;
            }
            if !std::mem::replace(&mut is_open, true) {
                open(out, "figures", "Figures of single scenarios", intro);
            }
            let better = match is_more_better(figure) {
                Some(true) => " (longer is better)",
                Some(false) => " (shorter is better)",
                None => "",
            };
            let unit_in_name = format!("_{}", figure.unit);
            let name = figure.name.strip_suffix(&unit_in_name).unwrap_or(&figure.name).replace('_', " ");
            let axis_name = format!("{name}{better}");
            let text = |value: f64| numbers::with_unit(value, &figure.unit);
            let of_base = workload.base(base).figure(&figure.name).map(|spread| spread.median);
            let (load, rest) = words(workload.plan);
            let _ = write!(
                out,
                "<figure class=\"card\"><figcaption>{}<small>{}, {}</small></figcaption>",
                escape(&name),
                escape(&load),
                escape(&rest)
            );
            let axis = Axis::linear(high, 3);
            Chart { axis: &axis, name: &axis_name, text: &text, bars, base: of_base }.draw(out);
            out.push_str("</figure>\n");
        }
    }
    if is_open {
        out.push_str("</div>\n</section>\n");
    }
}

fn open(out: &mut String, id: &str, title: &str, intro: &str) {
    let _ = writeln!(out, "<section id=\"{id}\">\n<h2>{title}</h2>\n<p>{intro}</p>\n<div class=\"cards\">");
}

fn bars<'a>(
    workload: &Workload<'a>,
    labels: &[&str],
    spread: impl Fn(&crate::repeats::Repeats) -> Option<Spread>,
) -> Vec<Bar<'a>> {
    let each = workload.brokers.iter();
    each.filter_map(|broker| {
        Some(Bar { at: place(labels, broker.label), label: broker.label, spread: spread(broker)? })
    })
    .collect()
}

impl Chart<'_> {
    fn draw(&self, out: &mut String) {
        let height = self.bars.len() as f64 * ROW + FOOT;
        let _ = writeln!(
            out,
            "<svg class=\"bars\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
            escape(self.name)
        );
        let bottom = height - FOOT;
        for mark in &self.axis.marks {
            let x = self.place(*mark);
            let _ = write!(out, "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"0\" y2=\"{bottom}\"/>");
        }
        for mark in self.axis.words(5) {
            let (x, y) = (self.place(mark), bottom + 14.0);
            let _ = write!(
                out,
                "<text class=\"mid\" x=\"{x:.1}\" y=\"{y}\">{}</text>",
                escape(&numbers::mark(&(self.text)(mark)))
            );
        }
        let logarithmic = if self.axis.is_log() { ", log scale" } else { "" };
        let _ = writeln!(
            out,
            "<text class=\"name mid\" x=\"{:.1}\" y=\"{}\">{}{logarithmic}</text>",
            f64::midpoint(NAMES, WIDTH - VALUES),
            height - 5.0,
            escape(self.name)
        );
        for (row, bar) in self.bars.iter().enumerate() {
            self.bar(out, row, bar);
        }
        out.push_str("</svg>");
    }

    fn place(&self, value: f64) -> f64 {
        NAMES + self.axis.part(value) * (WIDTH - NAMES - VALUES)
    }

    fn bar(&self, out: &mut String, row: usize, bar: &Bar) {
        let top = row as f64 * ROW + (ROW - BAR) / 2.0;
        let (middle, text_y) = (top + BAR / 2.0, top + BAR / 2.0 + 4.5);
        let end = self.place(bar.spread.median);
        let length = (end - NAMES).max(1.5);
        let value = (self.text)(bar.spread.median);
        let _ = write!(
            out,
            "<g class=\"bar {}\" data-of=\"{}\"><title>{}: {value}</title>\
             <text class=\"end\" x=\"{}\" y=\"{text_y}\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{top}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>",
            style_of(bar.at),
            bar.at,
            escape(bar.label),
            NAMES - 8.0,
            escape(&cut(bar.label, NAME_LETTERS_MAX))
        );
        if bar.spread.runs > 1 {
            let (low, high) = (self.place(bar.spread.low), self.place(bar.spread.high));
            let _ = write!(
                out,
                "<path class=\"whisker\" d=\"M{low:.1} {middle}H{high:.1}M{low:.1} {}v6M{high:.1} {}v6\"/>",
                middle - 3.0,
                middle - 3.0
            );
        }
        let ratio = self.base.map_or(String::new(), |base| {
            let median = bar.spread.median;
            format!(
                "<tspan class=\"ratio\" data-value=\"{median}\" dx=\"8\">{}</tspan>",
                super::overview::ratio_or_base(median / base)
            )
        });
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{text_y}\"><tspan class=\"value\">{}</tspan>{ratio}</text></g>",
            self.place(bar.spread.high).max(end) + 7.0,
            escape(&value)
        );
    }
}
