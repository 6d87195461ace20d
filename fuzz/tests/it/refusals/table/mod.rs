//! What must be refused, byte for byte, and the very bytes it is answered with: one table, read by the tests of the
//! simulator and by those of the real process, which include this folder. Never names the engine.
//!
//! ```text
//! @ MQTT 5                              what goes before the cases that follow
//!
//! why it is refused [MQTT-3.3.1-4]      a case: its name, with the statement that refuses it
//!   > 36 06 0001 't' 0001 00 'a'        what the client says: hexadecimal digits, texts, `*` and how often
//!   < e0 01 81                          the whole answer; no line: nothing. Then perhaps `>` again
//!   closed                              the broker closes the connection; or `open`: it serves it on
//! ```
//! Clients of MQTT 5 ask for no problem information here, so that no answer has a Reason String and each is a fixed
//! row of bytes. Where the specification leaves a choice, what cannot be read is malformed (0x81), what can be read
//! and may not be said is a protocol error (0x82), and a code of its own goes before both.

mod acks;
mod connect;
mod connect_properties;
mod header;
mod publish;
mod subscribe;

/// What the client has done before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// It has a socket.
    Nothing,
    /// It is connected by this Protocol Level, with a clean session.
    Connected(u8),
}

/// What is said, and what it is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exchange {
    pub said: Vec<u8>,
    pub answer: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Case {
    pub name: String,
    pub given: Given,
    pub exchanges: Vec<Exchange>,
    pub is_closed: bool,
}

/// The whole table.
pub fn cases() -> Vec<Case> {
    let texts = [connect::TEXT, connect_properties::TEXT, publish::TEXT, acks::TEXT, subscribe::TEXT, header::TEXT];
    texts.into_iter().flat_map(read).collect()
}

/// A CONNECT with a clean session; of MQTT 5 with Request Problem Information.
pub fn connect(level: u8, client_id: &str, problem_information: bool) -> Vec<u8> {
    let name: &[u8] = if level == 3 { b"\0\x06MQIsdp" } else { b"\0\x04MQTT" };
    let properties: &[u8] = if level == 5 { &[2, 0x17, problem_information as u8] } else { &[] };
    let client_id_len = (client_id.len() as u16).to_be_bytes();
    let body = [name, &[level, 2, 0, 0], properties, &client_id_len, client_id.as_bytes()].concat();
    [&[0x10, body.len() as u8], &body[..]].concat()
}

fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let (mut given, mut open) = (None, None);
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("@ ") {
            assert!(open.is_none(), "{heading} stands inside a case");
            given = Some(read_given(heading));
        } else if let Some(bytes) = line.strip_prefix("  > ") {
            let case: &mut Case = open.as_mut().expect("a case has a name");
            case.exchanges.push(Exchange { said: read_bytes(bytes), answer: Vec::new() });
        } else if let Some(bytes) = line.strip_prefix("  < ") {
            let exchange = open.as_mut().and_then(|case| case.exchanges.last_mut()).expect("an answer has a question");
            exchange.answer = read_bytes(bytes);
        } else if let Some(end) = line.strip_prefix("  ") {
            assert!(end == "closed" || end == "open", "{line}");
            let case = open.take().expect("a case has a name");
            cases.push(Case { is_closed: end == "closed", ..case });
        } else {
            assert!(open.is_none(), "{line} stands inside a case");
            let given = given.expect("a heading goes before the first case");
            open = Some(Case { name: line.to_owned(), given, exchanges: Vec::new(), is_closed: false });
        }
    }
    assert!(open.is_none(), "the last case has no end");
    cases
}

fn read_given(heading: &str) -> Given {
    match heading.split(',').next() {
        Some("nothing") => Given::Nothing,
        Some("MQTT 3.1") => Given::Connected(3),
        Some("MQTT 3.1.1") => Given::Connected(4),
        Some("MQTT 5") => Given::Connected(5),
        _ => panic!("{heading}"),
    }
}

/// `30 0001 't'*3`.
fn read_bytes(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(|char| char != ' ') {
        rest = &rest[start..];
        let part: Vec<u8> = if let Some(quoted) = rest.strip_prefix('\'') {
            let (text, after) = quoted.split_once('\'').expect("a quoted text ends");
            rest = after;
            text.into()
        } else {
            let end = rest.find(|char: char| !char.is_ascii_hexdigit()).unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            rest = after;
            assert!(!digits.is_empty() && digits.len().is_multiple_of(2), "{text}");
            digits.as_bytes().chunks(2).map(|pair| byte(pair).expect("two hexadecimal digits")).collect()
        };
        let times = rest.strip_prefix('*').map(|after| {
            let end = after.find(' ').unwrap_or(after.len());
            rest = &after[end..];
            after[..end].parse().expect("a number of times")
        });
        bytes.extend(part.repeat(times.unwrap_or(1)));
    }
    bytes
}

fn byte(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
