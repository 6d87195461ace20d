//! JSON as the model reads it: a tree of values that remember how they were written.

/// One value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Value {
    /// As written, without white space around it.
    pub raw: String,
    pub what: What,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    Object(Vec<(String, Value)>),
    /// Without its escapes.
    Text(String),
    Array,
    Null,
    /// A number or a truth value.
    Scalar,
}

impl Value {
    pub fn object(&self) -> Option<&[(String, Value)]> {
        match &self.what {
            What::Object(fields) => Some(fields),
            _ => None,
        }
    }

    pub fn get(&self, key: &str) -> Option<&Value> {
        self.object()?.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A complete JSON text; None if it is anything else.
pub fn parse(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { text: std::str::from_utf8(bytes).ok()?, at: 0 };
    reader.space();
    let value = reader.value()?;
    reader.space();
    (reader.at == reader.text.len()).then_some(value)
}

/// A text as JSON writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out + "\""
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Value> {
        let from = self.at;
        let what = match self.peek()? {
            b'{' => self.fields()?,
            b'[' => self.elements()?,
            b'"' => What::Text(self.string()?),
            b'n' => self.word("null", What::Null)?,
            b't' => self.word("true", What::Scalar)?,
            b'f' => self.word("false", What::Scalar)?,
            _ => self.number()?,
        };
        Some(Value { raw: self.text[from..self.at].to_string(), what })
    }

    fn word(&mut self, word: &str, what: What) -> Option<What> {
        let is_there = self.text[self.at..].starts_with(word);
        self.at += word.len();
        is_there.then_some(what)
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at - from
    }

    fn number(&mut self) -> Option<What> {
        self.take(b'-');
        let leads_with_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        let is_whole = whole == 1 || (whole > 1 && !leads_with_zero);
        let is_fraction = !self.take(b'.') || self.digits() > 0;
        let mut is_exponent = true;
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            is_exponent = self.digits() > 0;
        }
        (is_whole && is_fraction && is_exponent).then_some(What::Scalar)
    }

    fn fields(&mut self) -> Option<What> {
        let mut fields = Vec::new();
        self.at += 1;
        self.space();
        if self.take(b'}') {
            return Some(What::Object(fields));
        }
        loop {
            self.space();
            (self.peek() == Some(b'"')).then_some(())?;
            let key = self.string()?;
            self.space();
            self.take(b':').then_some(())?;
            self.space();
            fields.push((key, self.value()?));
            self.space();
            if self.take(b'}') {
                return Some(What::Object(fields));
            }
            self.take(b',').then_some(())?;
        }
    }

    fn elements(&mut self) -> Option<What> {
        self.at += 1;
        self.space();
        if self.take(b']') {
            return Some(What::Array);
        }
        loop {
            self.space();
            self.value()?;
            self.space();
            if self.take(b']') {
                return Some(What::Array);
            }
            self.take(b',').then_some(())?;
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        self.at += 1;
        loop {
            let c = self.text[self.at..].chars().next()?;
            self.at += c.len_utf8();
            match c {
                '"' => return Some(text),
                '\\' => text.push(self.escape()?),
                c if c < ' ' => return None,
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let second = match first {
                    0xD800..0xDC00 => (self.take(b'\\') && self.take(b'u')).then(|| self.unit())?,
                    _ => None,
                };
                let units = std::iter::once(first).chain(second);
                let mut chars = char::decode_utf16(units);
                let c = chars.next()?.ok()?;
                chars.next().is_none().then_some(c)?
            }
            _ => return None,
        })
    }

    fn unit(&mut self) -> Option<u16> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
    }
}
