//! `mote shards`: asks the control socket of a broker on this machine for a picture, and draws it.

use std::fmt::Write as _;
use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use net::control::advice::percent;
use net::control::picture::{Picture, ShardPicture, Subtree};
use net::control::{REQUEST_SHARDS, advice::Advice};

use super::{Failure, Outcome};
use crate::args::Shards;
use crate::logs::Escaped;

/// Seconds that the broker has for its answer, which is of the second after the question.
const ANSWER_S: u64 = 10;
/// Bytes of an answer: many times what a picture of the most shards has.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// To the beginning of the screen; and after what is drawn, nothing more.
const HOME: &str = "\x1b[H\x1b[J";
/// Cells of a whole bar.
const BAR_CELLS: usize = 12;
/// What is busier than these stands out, and stands out more.
const BUSY: f64 = 0.6;
const VERY_BUSY: f64 = 0.9;

pub(super) fn run(arguments: &Shards, place: Option<PathBuf>) -> Outcome<()> {
    let place = place.ok_or_else(|| {
        Failure::new("this configuration has no control socket; name one by control.socket, and here by --socket")
    })?;
    let mut out = std::io::stdout();
    let is_terminal = out.is_terminal();
    let is_coloured = is_terminal && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    loop {
        let line = ask(&place)?;
        let text = if arguments.json {
            line
        } else {
            let picture = picture_in(&line)?;
            let mut text = String::new();
            if arguments.watch.is_some() && is_terminal {
                text.push_str(HOME);
            }
            draw(&picture, is_coloured, &mut text);
            text
        };
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::new(format_args!("cannot write: {error}"))),
        }
        let Some(seconds) = arguments.watch else { return Ok(()) };
        std::thread::sleep(Duration::from_secs(seconds));
        if !arguments.json && !is_terminal {
            println!();
        }
    }
}

/// One question, one line.
fn ask(place: &Path) -> Outcome<String> {
    let at = || place.display();
    let mut stream = UnixStream::connect(place).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::new(format_args!(
            "no broker answers at {}; --data names its data folder, --socket its control socket (control.socket)",
            at()
        )),
        ErrorKind::PermissionDenied => {
            Failure::new(format_args!("{} is for the user of the broker alone: {error}", at()))
        }
        _ => Failure::new(format_args!("{}: {error}", at())),
    })?;
    let failed = |error: std::io::Error| Failure::new(format_args!("the broker at {} does not answer: {error}", at()));
    let wait = Some(Duration::from_secs(ANSWER_S));
    stream.set_read_timeout(wait).and_then(|()| stream.set_write_timeout(wait)).map_err(failed)?;
    let mut line = Vec::new();
    // Who is refused before the question was read finds the refusal there, and that the way is closed.
    let asked = stream.write_all(REQUEST_SHARDS.as_bytes());
    let read = stream.take(ANSWER_BYTES_MAX).read_to_end(&mut line);
    if !line.ends_with(b"\n") {
        asked.and(read.map(|_| ())).map_err(failed)?;
        return Err(Failure::new(format_args!("the broker at {} ended without an answer", at())));
    }
    let line = String::from_utf8(line).map_err(|_| Failure::new("the broker's answer is no text"))?;
    if let Some(why) = serde_json::from_str::<serde_json::Value>(&line).ok().as_ref().and_then(|v| v["error"].as_str())
    {
        return Err(Failure::new(format_args!("the broker refuses: {why}")));
    }
    Ok(line)
}

fn picture_in(line: &str) -> Outcome<Picture> {
    serde_json::from_str(line)
        .map_err(|error| Failure::new(format_args!("the broker tells something else than this mote reads: {error}")))
}

fn draw(picture: &Picture, is_coloured: bool, text: &mut String) {
    let bold = Paint { is_coloured, code: "1" };
    let count = picture.shards.len();
    let shards = if count == 1 { "1 shard".to_owned() } else { format!("{count} shards") };
    let _ = writeln!(text, "mote {}, {shards}, the last {:.1} s", Escaped(&picture.version), picture.seconds);
    text.push('\n');
    bold.line(&table_line(&COLUMNS.map(|(head, _)| head.to_owned())), text);
    for shard in &picture.shards {
        draw_shard(shard, is_coloured, text);
    }
    if count > 1 {
        draw_sum(picture, is_coloured, text);
    }
    if !picture.subtrees.is_empty() {
        text.push('\n');
        draw_subtrees(&picture.subtrees, is_coloured, text);
    }
    for advice in &picture.advice {
        draw_advice(advice, is_coloured, text);
    }
}

/// Fits into 80 cells.
const COLUMNS: [(&str, usize); 10] = [
    ("shard", 5),
    ("core", 4),
    ("clients", 7),
    ("in/s", 6),
    ("out/s", 6),
    ("rows/s", 6),
    ("busy", 5),
    ("turn p99", 8),
    ("links", 7),
    ("retained", 8),
];

fn table_line(cells: &[String; COLUMNS.len()]) -> String {
    let cells = cells.iter().zip(COLUMNS).map(|(cell, (_, width))| format!("{cell:>width$}"));
    cells.collect::<Vec<_>>().join("  ")
}

fn draw_shard(shard: &ShardPicture, is_coloured: bool, text: &mut String) {
    if !shard.answered {
        let _ = writeln!(text, "{:>5}  does not answer", shard.shard);
        return;
    }
    let line = table_line(&[
        shard.shard.to_string(),
        shard.core.map_or("-".to_owned(), |core| core.to_string()),
        shard.connections.to_string(),
        amount(shard.in_per_s),
        amount(shard.out_per_s),
        amount(shard.rows_per_s),
        percent(shard.busy),
        time(shard.turn_p99_us),
        format!("{} / {}", shard.links_in, shard.links_out),
        amount(shard.retained_rows as f64),
    ]);
    let code = match shard.busy {
        busy if busy >= VERY_BUSY => "31",
        busy if busy >= BUSY => "33",
        _ => "0",
    };
    Paint { is_coloured, code }.line(&line, text);
    if shard.links_held > 0.01 {
        let _ = writeln!(text, "       {} of its turns found a link full", percent(shard.links_held));
    }
}

fn draw_sum(picture: &Picture, is_coloured: bool, text: &mut String) {
    let sum = |figure: fn(&ShardPicture) -> f64| picture.shards.iter().map(figure).sum::<f64>();
    let most = |figure: fn(&ShardPicture) -> u64| picture.shards.iter().map(figure).max().unwrap_or(0);
    let line = table_line(&[
        "all".to_owned(),
        String::new(),
        (sum(|s| s.connections as f64) as u64).to_string(),
        amount(sum(|s| s.in_per_s)),
        amount(sum(|s| s.out_per_s)),
        amount(sum(|s| s.rows_per_s)),
        percent(sum(|s| s.busy) / picture.shards.len() as f64),
        time(most(|s| s.turn_p99_us)),
        format!("{} / {}", sum(|s| s.links_in as f64), sum(|s| s.links_out as f64)),
        amount(sum(|s| s.retained_rows as f64)),
    ]);
    Paint { is_coloured, code: "1" }.line(&line, text);
    let _ = writeln!(text, "\nthe busiest shard is {:.2} times as busy as the mean", picture.imbalance);
}

fn draw_subtrees(subtrees: &[Subtree], is_coloured: bool, text: &mut String) {
    const ROOT_CELLS_MAX: usize = 40;
    let roots: Vec<String> =
        subtrees.iter().map(|subtree| shortened(&Escaped(&subtree.root).to_string(), ROOT_CELLS_MAX)).collect();
    let width = roots.iter().map(|root| root.chars().count()).max().unwrap_or(0).max("hottest roots".len());
    let head = format!("{:width$}  {:>5}  {:>8}  part of its shard", "hottest roots", "shard", "work/s");
    Paint { is_coloured, code: "1" }.line(&head, text);
    for (subtree, root) in subtrees.iter().zip(&roots) {
        let (shard, work) = (subtree.shard, amount(subtree.work_per_s));
        let part = percent(subtree.share);
        let _ = writeln!(text, "{root:width$}  {shard:>5}  {work:>8}  {} {part:>5}", bar(subtree.share));
    }
}

fn draw_advice(advice: &Advice, is_coloured: bool, text: &mut String) {
    text.push('\n');
    Paint { is_coloured, code: "1;33" }.line(&Escaped(&advice.why).to_string(), text);
    for line in &advice.lines {
        let _ = writeln!(text, "    {}", Escaped(line));
    }
    let _ = writeln!(text, "{}", Escaped(&advice.effect));
}

struct Paint {
    is_coloured: bool,
    /// As the terminal takes it after `ESC [`; "0" is plain.
    code: &'static str,
}

impl Paint {
    fn line(&self, line: &str, text: &mut String) {
        let _ = if self.is_coloured && self.code != "0" {
            writeln!(text, "\x1b[{}m{line}\x1b[0m", self.code)
        } else {
            writeln!(text, "{line}")
        };
    }
}

/// Three digits and a letter, as "412 k".
fn amount(of: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    // What would be rounded up to a thousand of a unit is one of the next.
    let Some((unit, letter)) = UNITS.into_iter().find(|(unit, _)| of >= unit * 0.9995) else {
        return format!("{of:.0}");
    };
    let of = of / unit;
    let places = if of < 9.995 { 2 } else { usize::from(of < 99.95) };
    format!("{of:.places$} {letter}")
}

fn time(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} us"),
        1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}

/// Full cells, and one that is full in part.
fn bar(part: f64) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = (part.clamp(0.0, 1.0) * (8 * BAR_CELLS) as f64).round() as usize;
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    format!("{bar:BAR_CELLS$}")
}

fn shortened(text: &str, cells: usize) -> String {
    if text.chars().count() <= cells {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(cells - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::control::advice::Kind;

    #[test]
    fn amounts_have_three_digits() {
        let amounts = [0.0, 7.2, 999.4, 999.6, 1_000.0, 12_345.0, 999_400.0, 999_600.0, 2_500_000.0, 3e9].map(amount);
        assert_eq!(amounts, ["0", "7", "999", "1.00 k", "1.00 k", "12.3 k", "999 k", "1.00 M", "2.50 M", "3.00 G"]);
        assert_eq!([0, 999, 1_500, 2_000_000].map(time), ["0 us", "999 us", "1.5 ms", "2.0 s"]);
        assert_eq!(bar(0.5), "██████      ");
        assert_eq!(bar(0.01), "▏           ");
        assert_eq!(bar(7.0), "█".repeat(BAR_CELLS));
    }

    #[test]
    fn what_is_drawn_is_aligned_and_has_no_control_characters_of_others() {
        let shard = |shard, busy| ShardPicture {
            shard,
            core: Some(shard),
            answered: true,
            connections: 51,
            in_per_s: 412_345.0,
            out_per_s: 1_412_345.0,
            rows_per_s: 824_690.0,
            busy,
            turns_per_s: 9_000.0,
            turn_p99_us: 311,
            turn_max_us: 1_250,
            links_in: 3,
            links_out: 0,
            links_sent_per_s: 8_000.0,
            links_held: 0.0,
            retained_rows: 1_000_000,
            subscriptions: 50,
        };
        let picture = Picture {
            schema: "mote-shards/1".to_owned(),
            version: "0.1.0".to_owned(),
            seconds: 1.0,
            shards: vec![shard(0, 0.98), ShardPicture { answered: false, ..shard(1, 0.0) }],
            subtrees: vec![Subtree {
                root: "be\x1bnch".to_owned(),
                group: 3,
                shard: 0,
                share: 0.75,
                work_per_s: 1_000.0,
            }],
            imbalance: 2.0,
            advice: vec![Advice {
                kind: Kind::Split,
                shard: 0,
                root: "bench".to_owned(),
                why: "\"bench\" is 75 % of the rows of shard 0".to_owned(),
                lines: vec!["[shards.split]".to_owned(), "\"bench\" = 2".to_owned()],
                effect: "each \"bench/<x>\" is a group".to_owned(),
            }],
        };
        let mut text = String::new();
        draw(&picture, false, &mut text);
        assert!(!text.contains('\x1b'), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[3].ends_with("1.00 M") && lines[2].len() == lines[3].len() && lines[5].len() == lines[3].len());
        assert!(lines[4].ends_with("does not answer"), "{text}");
        assert!(text.contains("\n    [shards.split]\n    \"bench\" = 2\n"), "{text}");
        let mut coloured = String::new();
        draw(&picture, true, &mut coloured);
        assert!(coloured.contains("\x1b[31m"), "a shard that is nearly always awake stands out");
    }
}
