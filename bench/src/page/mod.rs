//! Several runs as one HTML page that needs no network and no other file: plots are SVG that is made here, and a
//! little script shows values under the pointer and hides brokers. Without the script everything is there too.
//!
//! Called by `mote-bench`, and nothing here reads or writes a file: results in, text out.

mod axis;
mod bars;
mod curves;
mod overview;
mod plot;

use std::fmt::Write as _;

use crate::numbers;
use crate::repeats::{self, Workload, labels, workloads};
use crate::result::Run;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// Colours that the style knows; a further broker begins again, with another dash.
const COLOURS: usize = 8;

/// The page. Ratios are against the broker `base`, else against the first of each plan.
pub fn html(runs: &[Run], base: Option<&str>) -> String {
    let labels = labels(runs);
    let workloads = workloads(runs);
    let base = base.filter(|base| labels.contains(base)).or(labels.first().copied());
    let title = format!("mote-bench: {}", labels.join(", "));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    );
    head(&mut out, runs, &labels, &workloads, base);
    out.push_str("<main>\n");
    bars::costs(&mut out, &workloads, &labels, base);
    bars::rates(&mut out, &workloads, &labels, base);
    bars::figures(&mut out, &workloads, &labels, base);
    overview::table(&mut out, &workloads, &labels, base);
    curves::latencies(&mut out, &workloads, &labels);
    curves::series(&mut out, &workloads, &labels);
    method(&mut out, runs);
    let _ = write!(
        out,
        "</main>\n<div id=\"tip\" role=\"status\" hidden></div>\n<script>\n{SCRIPT}</script>\n</body>\n</html>\n"
    );
    out
}

fn head(out: &mut String, runs: &[Run], labels: &[&str], workloads: &[Workload], base: Option<&str>) {
    let first = runs.iter().map(|run| run.time).min().unwrap_or(0);
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let _ = write!(
        out,
        "<header>\n<p class=\"mark\">mote-bench</p>\n<h1>{}</h1>\n<p class=\"lede\">{}, {}, {}; {}</p>\n<ul class=\"machines\">\n",
        escape(&labels.join(" · ")),
        plural(workloads.len(), "workload"),
        plural(labels.len(), "broker"),
        plural(runs.len(), "run"),
        numbers::moment(first)
    );
    let mut machines: Vec<String> = Vec::new();
    for machine in runs.iter().map(|run| &run.machine) {
        let governor = machine.governor.as_ref().map_or("no governor".to_owned(), |name| format!("governor {name}"));
        let text = format!(
            "{} · {} · kernel {} · {governor}",
            machine.cpu,
            plural(machine.cores as usize, "core"),
            machine.kernel
        );
        if !machines.contains(&text) {
            let _ = writeln!(out, "<li>{}</li>", escape(&text));
            machines.push(text);
        }
    }
    out.push_str("</ul>\n</header>\n<nav aria-label=\"Brokers\">\n<div class=\"legend\">\n");
    for (at, label) in labels.iter().enumerate() {
        let _ = writeln!(
            out,
            "<button type=\"button\" aria-pressed=\"true\" class=\"key {}\" data-of=\"{at}\">{}{}</button>",
            style_of(at),
            sample(),
            escape(label)
        );
    }
    out.push_str("</div>\n<label class=\"base\">ratios against <select id=\"base\">\n");
    for (at, label) in labels.iter().enumerate() {
        let chosen = if Some(*label) == base { " selected" } else { "" };
        let _ = writeln!(out, "<option value=\"{at}\"{chosen}>{}</option>", escape(label));
    }
    out.push_str("</select></label>\n</nav>\n");
}

/// A piece of a broker's line, as its key.
fn sample() -> &'static str {
    "<svg viewBox=\"0 0 28 10\" aria-hidden=\"true\"><line x1=\"1\" y1=\"5\" x2=\"27\" y2=\"5\" class=\"stroke\"/></svg>"
}

fn method(out: &mut String, runs: &[Run]) {
    let (mut threads, mut seconds): (Vec<u64>, Vec<f64>) = (Vec::new(), Vec::new());
    for run in runs {
        if !threads.contains(&run.plan.threads) {
            threads.push(run.plan.threads);
        }
        seconds.push(run.plan.seconds);
    }
    let least = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let most = seconds.iter().copied().fold(0.0, f64::max);
    let span = if least < most { format!("{least} to {most} s") } else { format!("{most} s") };
    let threads: Vec<String> = threads.iter().map(u64::to_string).collect();
    let _ = write!(
        out,
        "<section id=\"method\">\n<h2>How this was measured</h2>\n<ul class=\"method\">\n\
         <li>Each run measured {span} after a warm-up that does not count; the generator had {} thread(s). Runs of one \
         plan against one broker are repeats: shown is their median, and the whisker reaches from the lowest to the highest.</li>\n\
         <li><b>CPU per delivery</b> is the CPU time of the broker's whole process, divided by the messages that \
         subscribers got. It holds when the generator is the limit, which deliveries per second do not.</li>\n\
         <li><b>Closed loop</b>: a publisher stays a fixed number of messages ahead of its slowest subscriber. Latency is then \
         mostly that window waiting. <b>Open loop</b>: messages have their times, and latency counts from the time at which \
         a message was due, whether or not it could be sent then.</li>\n\
         <li><b>Memory</b> is anonymous memory of the process (RssAnon); 1 kB is 1000 bytes. What the kernel keeps for \
         sockets, and pages of files, are not in it.</li>\n\
         <li>Compare within one page only: machines differ, and so do their hours.</li>\n</ul>\n</section>\n",
        threads.join(" or ")
    );
}

/// The heading of a card: what it is, and under it what makes it differ from others.
fn card_head(workload: &Workload) -> String {
    let (name, rest) = repeats::words(workload.plan);
    format!("<figcaption>{}<small>{}</small></figcaption>", escape(&name), escape(&rest))
}

/// The classes of the broker with this place in the list: colour and dash.
fn style_of(at: usize) -> String {
    format!("c{} d{}", at % COLOURS, at / COLOURS % 2)
}

fn place(labels: &[&str], label: &str) -> usize {
    labels.iter().position(|known| *known == label).unwrap_or(0)
}

/// Text that means nothing to HTML, in an element or in an attribute.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// At most so many letters; what is cut off shows as an ellipsis.
fn cut(text: &str, letters_max: usize) -> String {
    if text.chars().count() <= letters_max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters_max - 1).collect();
    format!("{}…", kept.trim_end())
}
