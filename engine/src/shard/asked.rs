//! What a message asks for: its intent, read off topic and user property, and judged.

use super::Shard;
use crate::dialect::{
    CLASSIC, Condition, Intent, Options, Parsed, Verb, allowed_on_will, combine, find_property, parse_prefix,
};
use crate::dialect::{classic_verb, filter_of_pattern, parse_property};
use crate::row::graft::{Fault, without_replace};
use crate::topic::{Owners, check_filter, check_name, stem};
use crate::wire::{self, Properties, Publish, ReasonCode};

/// A message on its way to its owners, from a client or as a will.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    /// As written, with its intent.
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub properties: Properties<'a>,
    pub retain: bool,
    /// Value of the user property `mote` that holds an intent; or what is wrong with several.
    pub mote: Result<Option<&'a str>, &'static str>,
    pub is_text: bool,
}

impl Message<'_> {
    /// As it is to be read on a listener of the classic profile: only retained messages differ.
    pub fn in_classic(self) -> Self {
        let is_bare = self.mote == Ok(None) && matches!(parse_prefix(self.topic), Parsed::Plain(_));
        if self.retain && is_bare { Message { mote: Ok(Some(CLASSIC)), ..self } } else { self }
    }
}

/// What a publish is, its intent taken off. Nearly all are plain, and none pays for what the others hold.
pub(super) enum Target<'a> {
    Plain(&'a str),
    Asked(Box<Asked<'a>>),
    Get(Box<Question<'a>>),
}

/// A publish with the verb `get`.
pub(super) struct Question<'a> {
    /// As written.
    pub topic: &'a str,
    pub filter: String,
    pub options: Options<'a>,
}

/// A publish with a verb.
pub(super) struct Asked<'a> {
    /// `put`, `tree` or `set`.
    pub verb: Verb,
    /// Topic, pattern or filter, as written.
    pub topic: &'a str,
    /// What its rows can be, as a filter: of a `put` its topic.
    pub filter: String,
    pub condition: Condition,
    pub replace: bool,
    pub payload_bytes: usize,
    /// Key of the option `id`.
    pub id: Option<&'a str>,
    /// A tree in the classic profile: wildcards are those that are written, and this is the object, which may differ from
    /// what was published.
    pub classic: Option<Vec<u8>>,
}

impl<'a> Target<'a> {
    /// Topic, pattern or filter, without the intent.
    pub fn topic(&self) -> &'a str {
        match self {
            Target::Plain(topic) => topic,
            Target::Asked(asked) => asked.topic,
            Target::Get(question) => question.topic,
        }
    }
}

impl Asked<'_> {
    /// Everything that it is about must lie in one group.
    pub fn needs_one_group(&self) -> bool {
        self.condition != Condition::Always || self.replace || self.id.is_some()
    }
}

fn bad(what: &str) -> Fault {
    Fault { code: ReasonCode::TopicNameInvalid, at: None, what: what.to_owned() }
}

impl Shard {
    /// Reads the intent off a message and judges its topic.
    pub(super) fn target<'a>(
        &self,
        message: &Message<'a>,
        is_allowed: fn(Intent<'_>) -> Result<(), &'static str>,
    ) -> Result<Target<'a>, Fault> {
        let levels_max = self.home.config.limits.topic_levels;
        if message.mote == Ok(Some(CLASSIC)) {
            return self.classic_target(message, is_allowed);
        }
        let may_carry_intent = message.mote != Ok(None) || message.topic.starts_with('$');
        if !may_carry_intent {
            return check_name(message.topic, levels_max).map(|()| Target::Plain(message.topic)).map_err(bad);
        }
        let (prefix, topic) = match parse_prefix(message.topic) {
            Parsed::Plain(topic) => (None, topic),
            Parsed::Intent(intent, topic) => (Some(intent), topic),
            Parsed::Bad(what) => return Err(bad(what)),
        };
        let property = message.mote.map_err(bad)?.map_or(Ok(None), parse_property).map_err(bad)?;
        let is_reserved =
            ["$error", "$conflict", super::sys::ROOT].contains(&topic.split('/').next().unwrap_or_default());
        let reserved = || Fault { code: ReasonCode::NotAuthorized, ..bad("only the broker publishes there") };
        let Some(intent) = combine(prefix, property).map_err(bad)? else {
            check_name(topic, levels_max).map_err(bad)?;
            return if is_reserved { Err(reserved()) } else { Ok(Target::Plain(topic)) };
        };
        is_allowed(intent).map_err(bad)?;
        if intent.verb == Verb::Get {
            return question(intent, topic, levels_max).map(Box::new).map(Target::Get);
        }
        if is_reserved {
            return Err(reserved());
        }
        self.asked(message, intent, topic).map(Box::new).map(Target::Asked)
    }

    /// The same in the classic profile, of a message with RETAIN 1 that carries no intent.
    fn classic_target<'a>(
        &self,
        message: &Message<'a>,
        is_allowed: fn(Intent<'_>) -> Result<(), &'static str>,
    ) -> Result<Target<'a>, Fault> {
        let Some((verb, topic)) = classic_verb(message.topic) else {
            return self.target(&Message { mote: Ok(None), ..*message }, is_allowed);
        };
        check_filter(topic, self.home.config.limits.topic_levels).map_err(bad)?;
        if topic.starts_with('$') {
            return Err(Fault { code: ReasonCode::NotAuthorized, ..bad("only the broker publishes there") });
        }
        let object = (verb == Verb::Tree).then(|| without_replace(message.payload));
        let replace = object.as_ref().is_some_and(|(_, replace)| *replace);
        let (filter, condition, id) = (topic.to_owned(), Condition::Always, None);
        let (classic, payload_bytes) = (object.map(|(object, _)| object), message.payload.len());
        let asked = Asked { verb, topic, filter, condition, replace, payload_bytes, id, classic };
        if asked.needs_one_group() && !self.is_one_object(&asked) {
            return Err(bad("spans groups"));
        }
        Ok(Target::Asked(Box::new(asked)))
    }

    /// A publish with a verb, judged but for its payload.
    fn asked<'a>(&self, message: &Message<'a>, intent: Intent<'a>, topic: &'a str) -> Result<Asked<'a>, Fault> {
        let Intent { verb, options } = intent;
        let levels_max = self.home.config.limits.topic_levels;
        let filter = match verb {
            Verb::Put => {
                check_name(topic, levels_max).map_err(bad)?;
                topic.to_owned()
            }
            _ => filter_of_pattern(topic, verb == Verb::Tree),
        };
        if verb == Verb::Set {
            check_filter(&filter, levels_max).map_err(bad)?;
        }
        let condition = options.condition();
        let (replace, id) = (options.has("replace"), options.value("id"));
        let payload_bytes = message.payload.len();
        let asked = Asked { verb, topic, filter, condition, replace, payload_bytes, id, classic: None };
        if verb == Verb::Set && !message.retain {
            return Err(bad("a set needs RETAIN 1"));
        }
        if condition != Condition::Always {
            if !message.retain {
                return Err(bad("a condition needs RETAIN 1")); // [MOTE-9.4]
            }
            message.properties.response_topic().map_or(Ok(()), |topic| judge_response_topic(topic, levels_max))?;
        }
        if asked.needs_one_group() && !self.is_one_object(&asked) {
            return Err(bad("spans groups")); // [MOTE-9.3]
        }
        Ok(asked)
    }

    /// Whether what a publish is about lies in one group: its rows and, where there is a condition, the object that it
    /// is about.
    fn is_one_object(&self, asked: &Asked<'_>) -> bool {
        let object_is_one = || self.roots.group_of_object(stem(&asked.filter)).is_some();
        self.roots.group_of_filter(&asked.filter).is_some() && (asked.condition == Condition::Always || object_is_one())
    }

    /// The owners that have rows of it.
    pub(super) fn owners_of(&self, asked: &Asked<'_>) -> Owners {
        match asked.verb {
            Verb::Put => Owners::One(self.roots.owner(asked.topic)),
            _ => self.roots.owners_of_filter(&asked.filter),
        }
    }

    /// The syntax of a will's intent and topic, judged at CONNECT.
    pub(super) fn judge_will(&self, will: &wire::Will<'_>, is_classic: bool) -> Result<(), (ReasonCode, &'static str)> {
        if will.retain && !self.home.config.retain_available {
            return Err((ReasonCode::RetainNotSupported, "a retained Will, but Retain Available is 0")); // [MQTT-3.2.2-13]
        }
        let bad_topic = |_| (ReasonCode::TopicNameInvalid, "the Will has a bad topic or intent");
        if let Target::Plain(_) = self.target(&message_of_will(will, is_classic), allowed_on_will).map_err(bad_topic)? {
            let bad_format = |_| (ReasonCode::PayloadFormatInvalid, "the Will is said to be UTF-8 and is not");
            judge_format(will.properties, will.payload).map_err(bad_format)?;
        }
        Ok(())
    }

    /// Whether the topic of a will is no Topic Name and asks for none of the extras either.
    pub(super) fn has_no_topic(will: &wire::Will<'_>, is_classic: bool) -> bool {
        will.has_wildcard() && !carries_intent(&message_of_will(will, is_classic))
    }
}

pub(super) fn message_of_will<'a>(will: &wire::Will<'a>, is_classic: bool) -> Message<'a> {
    let mote = find_property(will.properties.user_properties());
    let message = Message {
        topic: will.topic,
        payload: will.payload,
        properties: will.properties,
        retain: will.retain,
        mote,
        is_text: false,
    };
    if is_classic { message.in_classic() } else { message }
}

/// A Response Topic is taken literally, [MOTE-4.12], and leads to nothing that is the broker's, [MOTE-4.13].
pub(super) fn judge_response_topic(topic: &str, levels_max: usize) -> Result<(), Fault> {
    check_name(topic, levels_max).map_err(bad)?;
    if topic.starts_with('$') { Err(bad("the Response Topic begins with $")) } else { Ok(()) }
}

/// A question, judged.
fn question<'a>(intent: Intent<'a>, topic: &'a str, levels_max: usize) -> Result<Question<'a>, Fault> {
    let Intent { options, .. } = intent;
    let filter = filter_of_pattern(topic, false);
    check_filter(&filter, levels_max).map_err(bad)?;
    Ok(Question { topic, filter, options })
}

/// Payload Format Indicator 1 says that the payload is UTF-8, MQTT 5 section 3.3.2.3.2.
pub(super) fn judge_format(properties: Properties<'_>, payload: &[u8]) -> Result<(), Fault> {
    if properties.payload_format_indicator() != Some(1) {
        return Ok(());
    }
    let Err(error) = std::str::from_utf8(payload) else { return Ok(()) };
    let (at, what) = (Some(error.valid_up_to()), "Payload Format Indicator 1, but the payload is not UTF-8".to_owned());
    Err(Fault { code: ReasonCode::PayloadFormatInvalid, at, what })
}

/// Whether the message asks for one of the extras, rightly or wrongly: then its topic may be a pattern.
pub(super) fn carries_intent(message: &Message<'_>) -> bool {
    message.mote != Ok(None) || !matches!(parse_prefix(message.topic), Parsed::Plain(_))
}

/// Most have no properties to be looked through.
pub(super) fn message_of<'a>(publish: &Publish<'a>) -> Message<'a> {
    let Publish { topic, payload, properties, retain, .. } = *publish;
    if properties.is_empty() {
        return Message { topic, payload, properties, retain, mote: Ok(None), is_text: false };
    }
    let is_text = properties.content_type().is_some_and(|content| content.starts_with("text/"));
    Message { topic, payload, properties, retain, mote: find_property(properties.user_properties()), is_text }
}
