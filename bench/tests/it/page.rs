use std::path::Path;

use bench::page::html;
use bench::result::Run;

use crate::sample::{comparison, open_loop, pairs, run};

/// How often each tag is opened; panics where they do not nest. Scripts and styles are left out.
fn nests(html: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let end = tag.find('>').unwrap();
        let (inside, after) = (&tag[..end], &tag[end + 1..]);
        rest = after;
        let name = inside.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap();
        if inside.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "…{}", &rest[..rest.len().min(80)]);
        } else if !inside.starts_with('!') && !inside.ends_with('/') && name != "meta" {
            open.push(name);
        }
        if let Some(text) = ["script", "style"].into_iter().find(|raw| *raw == name && !inside.starts_with('/')) {
            rest = &rest[rest.find(&format!("</{text}>")).unwrap()..];
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_page_needs_nothing_from_outside() {
    let page = html(&comparison(), None);
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("page.html"), &page).unwrap();
    nests(&page);
    for outside in ["http:", "https:", "//cdn", "@import", "url(", "<link", "src=", "fetch("] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn every_workload_has_its_bars_curves_and_series_with_units() {
    let page = html(&comparison(), None);
    let section = |id: &str| {
        let from = &page[page.find(&format!("<section id=\"{id}\">")).unwrap_or_else(|| panic!("{id}"))..];
        &from[..from.find("</section>").unwrap()]
    };
    let (cost, latency, series) = (section("cost"), section("latency"), section("series"));
    assert_eq!(cost.matches("<svg class=\"bars\"").count(), 4);
    assert_eq!(cost.matches("<rect ").count(), 12);
    assert!(cost.contains("µs of broker CPU per delivery, log scale"));
    assert_eq!(latency.matches("<polyline").count(), 12);
    assert!(latency.find("open loop").unwrap() < latency.find("in flight").unwrap());
    for mark in [">0<", ">90<", ">99<", ">99.9<", ">99.99<", "latency, log scale", "percentile"] {
        assert!(latency.contains(mark), "{mark}");
    }
    for name in ["deliveries per second", "p99 latency", "broker CPU (cores in use)", "broker memory (RssAnon)"] {
        assert_eq!(series.matches(&format!("<figcaption>{name}<")).count(), 4, "{name}");
    }
    assert!(section("figures").contains("<figcaption>bytes per connection<small>idle, 0 to 10000"));
    assert!(section("figures").contains("bytes per connection (shorter is better)") && !cost.contains("idle"));
    assert!(section("runs").contains("the generator was the limit in 3 of 3 runs"));
}

#[test]
fn ratios_are_against_the_first_or_the_one_that_is_chosen() {
    let runs = [run("slow", &pairs(0, 64), 1e5, 9.0, 100.0), run("fast", &pairs(0, 64), 2e6, 0.45, 9.0)];
    let first = html(&runs, None);
    assert!(first.contains(">1/20.0<") && first.contains(">20.0x<") && !first.contains(">1/20.0x<"));
    let chosen = html(&runs, Some("fast"));
    assert!(chosen.contains("<option value=\"1\" selected>fast"));
    assert_ne!(first, chosen);
}

#[test]
fn what_a_label_says_is_text_and_never_markup() {
    let label = "<script>alert('x')</script>&\"\u{7}";
    let page = html(&[run(label, &pairs(0, 64), 1e5, 9.0, 100.0)], None);
    nests(&page);
    assert!(!page.contains("<script>alert"));
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;\u{fffd}"));
}

#[test]
fn a_page_without_runs_or_without_measurements_has_no_empty_plots() {
    nests(&html(&[], None));
    let bare = Run { latency_us: None, broker: None, ..run("bare", &open_loop(10.0), 10.0, 1.0, 1.0) };
    let bare = Run { series: Default::default(), ..bare };
    let page = html(&[bare], None);
    nests(&page);
    assert!(!page.contains("class=\"plot\"") && !page.contains("NaN") && !page.contains("inf"));
    let zero = html(&[crate::sample::idle("idle", 0.0)], None);
    assert!(!zero.contains("NaN") && !zero.contains("<svg class=\"bars\""));
}
