//! JSON scanned where it lies: a validating scanner (RFC 8259), and writing and unescaping of strings.
//!
//! It validates completely, since its slices go into other clients' frames. It does not recurse: what is
//! open is one bit per level. It refuses escapes of unpaired surrogates, which no UTF-8 text can stand for.

use crate::limits::JSON_DEPTH_MAX;

/// Where a text is no JSON (offset in bytes) and why.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonFault {
    pub at: usize,
    pub what: &'static str,
}

/// What a JSON value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// One complete JSON text with white space around it, at most `JSON_DEPTH_MAX` deep.
pub fn validate(text: &[u8]) -> Result<Kind, JsonFault> {
    validate_str(utf8(text)?)
}

/// The same for text that is known to be UTF-8.
pub fn validate_str(text: &str) -> Result<Kind, JsonFault> {
    let mut scanner = Scanner::new(text);
    scanner.white();
    let kind = scanner.value(JSON_DEPTH_MAX)?;
    scanner.end()?;
    Ok(kind)
}

/// The text, or where it ceases to be UTF-8.
pub fn utf8(text: &[u8]) -> Result<&str, JsonFault> {
    std::str::from_utf8(text).map_err(|e| JsonFault { at: e.valid_up_to(), what: "not UTF-8" })
}

/// The text without JSON's white space around it.
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = text {
        text = rest;
    }
    text
}

/// Appends `text` as a JSON string, escaping only what must be.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    write_string_bytes(text.as_bytes(), out);
}

/// The same for bytes that are known to be UTF-8.
pub(super) fn write_string_bytes(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut from = 0;
    loop {
        let stop = plain_end(text, from);
        out.extend_from_slice(&text[from..stop]);
        let Some(&byte) = text.get(stop) else { break };
        write_escape(byte, out);
        from = stop + 1;
    }
    out.push(b'"');
}

/// Appends bytes that are known to be UTF-8 as a JSON string of printable ASCII alone, as Python's `json.dumps` does:
/// other characters are escaped by their UTF-16 units.
pub(super) fn write_ascii_string(text: &[u8], out: &mut Vec<u8>) {
    let text = std::str::from_utf8(text).expect("topics and texts are UTF-8");
    out.push(b'"');
    for char in text.chars() {
        match char {
            ' '..='~' if char != '"' && char != '\\' => out.push(char as u8),
            '\0'..='~' => write_escape(char as u8, out),
            _ => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| write_unit(*unit, out)),
        }
    }
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        0x08 => out.extend_from_slice(b"\\b"),
        0x09 => out.extend_from_slice(b"\\t"),
        0x0A => out.extend_from_slice(b"\\n"),
        0x0C => out.extend_from_slice(b"\\f"),
        0x0D => out.extend_from_slice(b"\\r"),
        _ => write_unit(byte.into(), out),
    }
}

/// The escape of a UTF-16 unit.
fn write_unit(unit: u16, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u16| HEX[usize::from(unit >> shift & 15)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// A string as it was scanned: what stands between its quotes, and whether escapes are among it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    /// Offset of the opening quote.
    pub at: usize,
    pub raw: &'a [u8],
    pub escaped: bool,
}

impl Text<'_> {
    /// Whether the string, unescaped, is `other`, which is short.
    pub fn is(&self, other: &[u8]) -> bool {
        if !self.escaped {
            return self.raw == other;
        }
        // An escape takes at most twelve bytes for one character.
        self.raw.len() <= other.len() * 12 && {
            let mut text = Vec::with_capacity(self.raw.len());
            unescape(self.raw, &mut text);
            text == other
        }
    }

    /// Appends the string, unescaped.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.escaped {
            unescape(self.raw, out);
        } else {
            out.extend_from_slice(self.raw);
        }
    }
}

/// Appends a scanned string without its escapes. It never grows.
fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(stop) = rest.iter().position(|&b| b == b'\\') {
        out.extend_from_slice(&rest[..stop]);
        let (char, len) = unescape_one(&rest[stop..]);
        out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[stop + len..];
    }
    out.extend_from_slice(rest);
}

/// The character of the escape that `raw` begins with, and how many bytes the escape takes.
fn unescape_one(raw: &[u8]) -> (char, usize) {
    let simple = match raw[1] {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => {
            let unit = hex4(raw, 2).unwrap_or(0);
            if unit & 0xFC00 != 0xD800 {
                return (char::from_u32(unit).unwrap_or('\u{FFFD}'), 6);
            }
            // The scanner has seen to it that the other half follows.
            let low = hex4(raw, 8).unwrap_or(0xDC00);
            let code = 0x10000 + ((unit & 0x3FF) << 10 | (low & 0x3FF));
            return (char::from_u32(code).unwrap_or('\u{FFFD}'), 12);
        }
        other => other as char,
    };
    (simple, 2)
}

fn hex4(bytes: &[u8], at: usize) -> Option<u32> {
    let digits = bytes.get(at..at + 4)?;
    digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
}

/// Where the run of bytes ends that a JSON string takes as they are: at a quote, a backslash or a control
/// character, or with the text.
fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let stops = stops(u64::from_le_bytes(*chunk));
        if stops != 0 {
            return at + (stops.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&b| b != b'"' && b != b'\\' && b >= 0x20) {
        at += 1;
    }
    at
}

/// The lowest bit set is the high bit of the first of eight bytes that ends a run. (Borrows may set bits
/// above it, never below.)
fn stops(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let quote = bytes ^ (ONES * b'"' as u64);
    let backslash = bytes ^ (ONES * b'\\' as u64);
    let quotes = quote.wrapping_sub(ONES) & !quote;
    let backslashes = backslash.wrapping_sub(ONES) & !backslash;
    let controls = bytes.wrapping_sub(ONES * 0x20) & !bytes;
    (quotes | backslashes | controls) & (ONES * 0x80)
}

/// A position in a JSON text. Its functions leave it behind what they took.
#[derive(Clone, Debug)]
pub struct Scanner<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(text: &'a str) -> Scanner<'a> {
        Scanner { bytes: text.as_bytes(), at: 0 }
    }

    /// The byte here; 0, which JSON takes nowhere, at the end.
    pub fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    pub fn white(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// What was scanned since `start`.
    pub fn since(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// Only white space may follow.
    pub fn end(&mut self) -> Result<(), JsonFault> {
        self.white();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.fault("something follows the value")) }
    }

    pub fn fault(&self, what: &'static str) -> JsonFault {
        let what = if self.at >= self.bytes.len() { "the text ends too early" } else { what };
        JsonFault { at: self.at, what }
    }

    /// The value here, at most `depth_max` arrays and objects deep. No white space stands before it.
    pub fn value(&mut self, depth_max: usize) -> Result<Kind, JsonFault> {
        let outermost = self.kind()?;
        if !matches!(outermost, Kind::Array | Kind::Object) {
            return self.scalar().map(|()| outermost);
        }
        let depth_max = depth_max.min(JSON_DEPTH_MAX);
        let mut open = Open::default();
        loop {
            let begun = match self.peek() {
                byte @ (b'{' | b'[') => {
                    if open.depth == depth_max {
                        return Err(self.fault("nested too deeply"));
                    }
                    open.push(byte == b'{');
                    self.begin(byte)?
                }
                _ => self.scalar().map(|_| false)?,
            };
            if !begun && !self.after(&mut open)? {
                return Ok(outermost);
            }
        }
    }

    /// Goes behind the value here, however deep it is, without judging it: what its brackets hold is read by others.
    pub fn skip(&mut self) -> Result<(), JsonFault> {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                b'"' => drop(self.string()?),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                }
                _ if depth == 0 => self.scalar()?,
                0 => return Err(self.fault("the text ends too early")),
                _ => self.at += 1,
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Takes the opening bracket; true if the first element follows, false if the closing one does.
    fn begin(&mut self, bracket: u8) -> Result<bool, JsonFault> {
        self.at += 1;
        self.white();
        match (bracket, self.peek()) {
            (b'{', b'}') | (b'[', b']') => Ok(false),
            (b'{', _) => self.key().map(|_| true),
            _ => Ok(true),
        }
    }

    /// After a value, or before the closing bracket of an empty array or object: goes to the next value.
    /// False if the outermost is complete.
    fn after(&mut self, open: &mut Open) -> Result<bool, JsonFault> {
        while open.depth > 0 {
            self.white();
            let object = open.in_object();
            match self.peek() {
                b',' => {
                    self.at += 1;
                    self.white();
                    if object {
                        self.key()?;
                    }
                    return Ok(true);
                }
                b'}' if object => open.pop(),
                b']' if !object => open.pop(),
                _ if object => return Err(self.fault("expected , or }")),
                _ => return Err(self.fault("expected , or ]")),
            }
            self.at += 1;
        }
        Ok(false)
    }

    /// What the value here is, by its first byte.
    pub fn kind(&self) -> Result<Kind, JsonFault> {
        match self.peek() {
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'"' => Ok(Kind::String),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' | b'f' => Ok(Kind::Bool),
            b'n' => Ok(Kind::Null),
            _ => Err(self.fault("expected a value")),
        }
    }

    /// A key, its colon, and the white space around the colon.
    pub fn key(&mut self) -> Result<Text<'a>, JsonFault> {
        if self.peek() != b'"' {
            return Err(self.fault("expected a key in quotes"));
        }
        let key = self.string()?;
        self.white();
        if self.peek() != b':' {
            return Err(self.fault("expected : after the key"));
        }
        self.at += 1;
        self.white();
        Ok(key)
    }

    /// The string here; a quote is here.
    pub fn string(&mut self) -> Result<Text<'a>, JsonFault> {
        let at = self.at;
        let mut escaped = false;
        self.at += 1;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                b'"' => break,
                b'\\' => self.escape()?,
                _ => return Err(self.fault("control character in a string")),
            }
            escaped = true;
        }
        self.at += 1;
        Ok(Text { at, raw: &self.bytes[at + 1..self.at - 1], escaped })
    }

    fn escape(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => match self.unit()? {
                0xD800..0xDC00 if self.bytes[self.at..].starts_with(b"\\u") => {
                    self.at += 1;
                    if !(0xDC00..0xE000).contains(&self.unit()?) {
                        return Err(JsonFault { at: start, what: UNPAIRED });
                    }
                }
                0xD800..0xE000 => return Err(JsonFault { at: start, what: UNPAIRED }),
                _ => {}
            },
            _ => return Err(self.fault("unknown escape")),
        }
        Ok(())
    }

    /// The `u` here and four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, JsonFault> {
        self.at += 1;
        let Some(unit) = hex4(self.bytes, self.at) else {
            let digits = self.bytes[self.at..].iter().take_while(|b| b.is_ascii_hexdigit()).count();
            self.at += digits;
            return Err(self.fault("expected four hexadecimal digits"));
        };
        self.at += 4;
        Ok(unit)
    }

    /// The value here, which is no array and no object.
    fn scalar(&mut self) -> Result<(), JsonFault> {
        match self.peek() {
            b'"' => self.string().map(drop),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            b'-' | b'0'..=b'9' => self.number(),
            _ => Err(self.fault("expected a value")),
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), JsonFault> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        self.at += rest.iter().zip(word).take_while(|(a, b)| a == b).count();
        Err(self.fault("expected true, false or null"))
    }

    fn number(&mut self) -> Result<(), JsonFault> {
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1; // a zero in front of other digits is no JSON
        } else {
            self.digits()?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonFault> {
        if !self.peek().is_ascii_digit() {
            return Err(self.fault("expected a digit"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }
}

const UNPAIRED: &str = "escape of an unpaired surrogate";

/// What is open: one bit per level, 1 for an object.
#[derive(Default)]
struct Open {
    objects: u64,
    depth: usize,
}
const _: () = assert!(JSON_DEPTH_MAX <= u64::BITS as usize);

impl Open {
    fn push(&mut self, object: bool) {
        self.objects = self.objects << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}
