//! Latencies of millions of messages, each counted; in nanoseconds until they are shown.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::result::Latency;

/// More counts as this much.
const LATENCY_NS_MAX: u64 = 600 * 1_000_000_000;
/// Decimal digits that are kept of each.
const DIGITS: u8 = 3;
/// Points of the curve for every halving of what is above.
const CURVE_TICKS: u32 = 5;

/// Latencies as they come, where neighbours are often alike: messages that were sent and came together.
#[derive(Debug)]
pub struct Recorder {
    histogram: Histogram<u64>,
    last_ns: u64,
    times: u64,
}

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder { histogram: empty(), last_ns: 0, times: 0 }
    }
}

impl Recorder {
    #[inline]
    pub fn record(&mut self, ns: u64) {
        if ns == self.last_ns {
            self.times += 1;
            return;
        }
        self.settle();
        self.last_ns = ns;
        self.times = 1;
    }

    fn settle(&mut self) {
        if self.times > 0 {
            self.histogram.saturating_record_n(self.last_ns.min(LATENCY_NS_MAX), self.times);
        }
        self.times = 0;
    }

    /// What was recorded since the last time; `None` if nothing was.
    pub fn take(&mut self) -> Option<Histogram<u64>> {
        self.settle();
        let is_empty = self.histogram.is_empty();
        (!is_empty).then(|| std::mem::replace(&mut self.histogram, empty()))
    }
}

pub fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("bounds and digits are in range")
}

/// All histograms here have the same bounds, so that one can be added to another.
pub fn add(to: &mut Histogram<u64>, from: Option<&Histogram<u64>>) {
    if let Some(from) = from {
        to.add(from).expect("bounds are the same");
    }
}

/// Microseconds at a quantile (0 to 1).
pub fn at_us(histogram: &Histogram<u64>, quantile: f64) -> f64 {
    histogram.value_at_quantile(quantile) as f64 / 1e3
}

/// `None` if nothing was recorded.
pub fn latency(histogram: &Histogram<u64>) -> io::Result<Option<Latency>> {
    if histogram.is_empty() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(io::Error::other)?;
    let point = |quantile: f64, ns: u64| [quantile * 100.0, ns as f64 / 1e3];
    let mut curve = vec![point(0.0, histogram.min())];
    let points = histogram.iter_quantiles(CURVE_TICKS);
    curve.extend(points.map(|it| point(it.quantile_iterated_to(), it.value_iterated_to())));
    curve.dedup_by(|later, earlier| later[0] <= earlier[0]);
    Ok(Some(Latency {
        count: histogram.len(),
        min: histogram.min() as f64 / 1e3,
        mean: histogram.mean() / 1e3,
        p50: at_us(histogram, 0.5),
        p90: at_us(histogram, 0.9),
        p99: at_us(histogram, 0.99),
        p999: at_us(histogram, 0.999),
        p9999: at_us(histogram, 0.9999),
        max: histogram.max() as f64 / 1e3,
        curve,
        hdr: STANDARD.encode(bytes),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hdrhistogram::serialization::Deserializer;

    #[test]
    fn every_one_is_counted_and_the_histogram_can_be_read_again() {
        let mut recorder = Recorder::default();
        assert!(recorder.take().is_none());
        for us in [50, 50, 50, 70, 50, 9_000] {
            recorder.record(us * 1000);
        }
        let histogram = recorder.take().unwrap();
        let latency = latency(&histogram).unwrap().unwrap();
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 0.002;
        assert_eq!((latency.count, latency.curve[0][0], latency.curve.last().unwrap()[0]), (6, 0.0, 100.0));
        assert!(near(latency.p50, 50.0) && near(latency.p90, 9_000.0) && near(latency.max, 9_000.0), "{latency:?}");
        assert!(latency.curve.is_sorted_by(|a, b| a[0] < b[0] && a[1] <= b[1]), "{latency:?}");
        let bytes = STANDARD.decode(latency.hdr).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!((read.len(), read.max()), (6, histogram.max()));
        assert!(recorder.take().is_none());
    }
}
