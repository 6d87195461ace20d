//! Intents on the command line: flags become a verb with options, and that the user property `mote` where there are any,
//! else the first level of the topic.

use engine::wire::Version;

/// What a packet asks for beyond what MQTT has, `verb;option;option=value`, as it is written down.
#[derive(Default)]
pub(super) struct Intent(Option<String>);

impl Intent {
    pub(super) fn none() -> Intent {
        Intent(None)
    }

    pub(super) fn of(verb: &str) -> Intent {
        Intent(Some(verb.to_owned()))
    }

    /// With an option, if it is given.
    pub(super) fn option(self, name: &str, is_given: bool) -> Intent {
        Intent(self.0.map(|intent| if is_given { format!("{intent};{name}") } else { intent }))
    }

    /// With an option that has a value, if it is given.
    pub(super) fn value(self, name: &str, value: Option<&str>) -> Intent {
        Intent(self.0.map(|intent| match value {
            Some(value) => format!("{intent};{name}={value}"),
            None => intent,
        }))
    }

    /// The topic or filter as it is written in a packet of this version.
    pub(super) fn topic(&self, version: Version, topic: &str) -> String {
        match &self.0 {
            Some(intent) if !version.is_v5() => format!("${intent}/{topic}"),
            _ => topic.to_owned(),
        }
    }

    /// The value of the user property `mote`, where the version has such.
    pub(super) fn property(&self, version: Version) -> Option<&str> {
        self.0.as_deref().filter(|_| version.is_v5())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_a_property_or_a_prefix() {
        let intent = Intent::of("sync").option("versions", true).option("meta", false).value("interval", Some("5"));
        assert_eq!(intent.property(Version::V5), Some("sync;versions;interval=5"));
        assert_eq!(intent.topic(Version::V5, "a/+"), "a/+");
        assert_eq!(
            (intent.property(Version::V311), intent.topic(Version::V311, "a/+").as_str()),
            (None, "$sync;versions;interval=5/a/+")
        );
        assert_eq!(
            (Intent::none().property(Version::V5), Intent::none().topic(Version::V31, "a").as_str()),
            (None, "a")
        );
    }
}
