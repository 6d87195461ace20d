//! Where log events go: one line each on stderr, as text or as JSON, written by one system call.
//!
//! Everybody logs through `tracing`; `main` starts this once. Whatever a client may have chosen (topics, client
//! identifiers, payloads) is escaped here, at the one place that all of it passes: no control character and no
//! line break of an event reaches the terminal or the log file. Must never panic and never wait for more than the write.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Pretty,
    Json,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Log {
    pub level: Level,
    pub format: Format,
}

impl Default for Log {
    fn default() -> Log {
        Log { level: Level::INFO, format: Format::Pretty }
    }
}

/// Sends every event of the process to stderr from here on. A second call changes nothing.
pub fn start(log: &Log) {
    let lines = Lines { format: log.format, out: std::io::stderr };
    let _ = tracing_subscriber::registry().with(lines.with_filter(LevelFilter::from_level(log.level))).try_init();
}

/// The layer: formats an event and writes it to what `out` opens.
struct Lines<O> {
    format: Format,
    out: O,
}

impl<S, O, W> Layer<S> for Lines<O>
where
    S: Subscriber,
    O: Fn() -> W + 'static,
    W: std::io::Write,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = match self.format {
            Format::Pretty => pretty(event),
            Format::Json => json(event),
        };
        line.push('\n');
        let _ = (self.out)().write_all(line.as_bytes()); // a log that cannot be written has nobody to tell
    }
}

fn time() -> String {
    let mut text = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

fn pretty(event: &Event<'_>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    let mut line = format!("{} {:5} {}: {}", time(), metadata.level(), metadata.target(), Escaped(&fields.message));
    for (name, value) in &fields.others {
        let _ = write!(line, " {name}={}", Escaped(value));
    }
    line
}

fn json(event: &Event<'_>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    let mut line = format!(
        "{{\"time\":\"{}\",\"level\":\"{}\",\"target\":{},\"message\":{}",
        time(),
        metadata.level(),
        Quoted(metadata.target()),
        Quoted(&fields.message)
    );
    for (name, value) in &fields.others {
        let _ = write!(line, ",{}:{}", Quoted(name), Quoted(value));
    }
    line.push('}');
    line
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Fields {
    fn keep(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.keep(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format!("{value:?}"));
    }
}

/// True for what may move a cursor, end a line, or reverse what is read: C0, DEL, C1, line separators, bidi controls.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text with every control character written as `\u{..}` (or `\n`, `\r`, `\t`).
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if is_unsafe(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

/// A JSON string.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if is_unsafe(c) => write!(f, "\\u{:04x}", c as u32)?, // all of them are in the basic plane
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A client identifier that clears the screen, forges a line and writes right to left.
    const EVIL: &str = "\u{1b}[2Ja\r\n2026-01-01 INFO forged\u{0}\u{7f}\u{9b}31m\u{202e}\u{2028}\"\\";

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let out = memory.clone();
        let lines = Lines { format, out: move || out.clone() };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), log);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_client_cannot_write_a_control_character_or_a_second_line() {
        for format in [Format::Pretty, Format::Json] {
            let ways: [&dyn Fn(); 4] = [
                &|| tracing::info!(client = EVIL, "connected"),
                &|| tracing::info!(client = %EVIL, "connected"),
                &|| tracing::info!(client = ?EVIL, "connected"),
                &|| tracing::info!("connected {EVIL}"),
            ];
            for way in ways {
                let text = logged(format, way);
                assert!(text.ends_with('\n'));
                let line = &text[..text.len() - 1];
                assert!(!line.chars().any(is_unsafe), "{line:?}");
                assert!(line.contains("connected") && line.contains("forged"));
            }
        }
    }

    #[test]
    fn json_lines_quote_what_would_end_the_string() {
        let line = logged(Format::Json, || tracing::warn!(topic = "a\"b\\c\n", "odd"));
        assert!(line.contains(r#""level":"WARN""#), "{line}");
        assert!(line.contains(r#""message":"odd","topic":"a\"b\\c\u000a"}"#), "{line}");
    }

    #[test]
    fn text_that_is_harmless_stays_as_it_is() {
        assert_eq!(Escaped("Küche/light +1 \"x\"").to_string(), "Küche/light +1 \"x\"");
    }
}
