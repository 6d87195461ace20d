//! Quantities as a reader wants them: three digits that count, the unit that keeps them short.

/// Three digits that count, of a number from a thousandth to a thousand.
fn digits(value: f64) -> String {
    let places = match value.abs() {
        0.0 => 0,
        small if small < 0.01 => 4,
        small if small < 0.9995 => 3,
        small if small < 9.995 => 2,
        small if small < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.places$}")
}

/// Divides by 1000 until it is short: the rest, and the name for what was divided by.
fn shortened(value: f64, names: &[&'static str]) -> (f64, &'static str) {
    let (mut value, mut at) = (value, 0);
    while value.abs() >= 999.5 && at + 1 < names.len() {
        value /= 1000.0;
        at += 1;
    }
    (value, names.get(at).copied().unwrap_or(""))
}

/// `2.15 M`, to be followed by what is counted.
pub fn count(value: f64) -> String {
    let (short, name) = shortened(value, &["", "k", "M", "G", "T"]);
    if value.abs() < 999.5 && value.fract() == 0.0 {
        return format!("{value:.0}");
    }
    format!("{} {name}", digits(short)).trim_end().to_owned()
}

/// Of something in a second: `2.15 M/s`.
pub fn per_second(value: f64) -> String {
    let text = count(value);
    if text.ends_with(char::is_alphabetic) { format!("{text}/s") } else { format!("{text} /s") }
}

/// Microseconds, in the unit that keeps them short: `46.0 µs`, `1.40 ms`.
pub fn duration(us: f64) -> String {
    let (short, name) = shortened(us, &["µs", "ms", "s"]);
    format!("{} {name}", digits(short))
}

/// Microseconds that stay microseconds, so that costs stand below each other.
pub fn cost(us: f64) -> String {
    format!("{} µs", digits(us))
}

/// 1 kB is 1000 bytes.
pub fn bytes(value: f64) -> String {
    let (short, name) = shortened(value, &["B", "kB", "MB", "GB", "TB"]);
    format!("{} {name}", digits(short))
}

/// A round value without the zeros behind its point: `10.0 µs` is `10 µs`.
pub fn mark(text: &str) -> String {
    let number = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number);
    let short = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{short}{unit}")
}

/// By the unit that a figure carries.
pub fn with_unit(value: f64, unit: &str) -> String {
    match unit {
        "us" | "µs" => duration(value),
        "ms" => duration(value * 1e3),
        "s" => duration(value * 1e6),
        "B" | "bytes" => bytes(value),
        "/s" | "1/s" | "per second" => per_second(value),
        "" => count(value),
        other => format!("{} {other}", count(value)),
    }
}

/// How many times as much: `19.4x`, `0.83x`, `1/31`.
pub fn ratio(value: f64) -> String {
    if !value.is_finite() || value <= 0.0 {
        return "-".to_owned();
    }
    let inverse = 1.0 / value;
    match value {
        more if more >= 99.95 => format!("{more:.0}x"),
        more if more >= 9.995 => format!("{more:.1}x"),
        near if near >= 0.5 => format!("{near:.2}x"),
        _ if inverse >= 99.95 => format!("1/{inverse:.0}"),
        _ => format!("1/{inverse:.1}"),
    }
}

/// A change against what was before: `+4.2 %`.
pub fn change(part: f64) -> String {
    if part.is_infinite() { "from none".to_owned() } else { format!("{:+.1} %", part * 100.0) }
}

/// `2026-11-30 21:41 UTC` of a Unix time.
pub fn moment(unix_s: u64) -> String {
    let (days, second) = ((unix_s / 86_400) as i64, unix_s % 86_400);
    // days since 0000-03-01, in eras of 400 years, so that a leap day is the last of its year
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (month_day, month) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{month_day:02} {:02}:{:02} UTC", second / 3_600, second / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_three_digits_and_a_unit() {
        let all = [per_second(2_149_000.0), per_second(12.0), per_second(34_000.0), per_second(999_700.0), count(0.0)];
        assert_eq!(all, ["2.15 M/s", "12 /s", "34.0 k/s", "1.00 M/s", "0"]);
        let all = [duration(46.0), duration(1_400.0), duration(2e6), cost(0.0462), bytes(1_199.0)];
        assert_eq!(all, ["46.0 µs", "1.40 ms", "2.00 s", "0.046 µs", "1.20 kB"]);
        assert_eq!(["10.0 µs", "0.010 µs", "100 B", "0"].map(mark), ["10 µs", "0.01 µs", "100 B", "0"]);
        assert_eq!([with_unit(3.0, "s"), with_unit(7.0, "rows")], ["3.00 s", "7 rows"]);
    }

    #[test]
    fn ratios_far_from_one_are_whole_fractions() {
        assert_eq!([19.44, 1.0, 0.83, 0.0323, 0.0].map(ratio), ["19.4x", "1.00x", "0.83x", "1/31.0", "-"]);
        assert_eq!([0.042, -0.5, f64::INFINITY].map(change), ["+4.2 %", "-50.0 %", "from none"]);
    }

    #[test]
    fn moments_know_leap_years() {
        assert_eq!(moment(0), "1970-01-01 00:00 UTC");
        assert_eq!(moment(1_709_164_800), "2024-02-29 00:00 UTC");
        assert_eq!(moment(1_796_074_884), "2026-11-30 21:41 UTC");
    }
}
