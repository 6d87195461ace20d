//! A PUBLISH that names its topic by an alias, before it is looked at.

use super::Shard;
use super::outbox::Outbox;
use super::receive::Flow;
use crate::clock::Now;
use crate::key::{ConnId, SessionKey};
use crate::wire::{Fault, Publish, ReasonCode};

impl Shard {
    /// A PUBLISH from a client, its topic written or named by an alias.
    pub(super) fn publish_named(
        &mut self,
        now: Now,
        conn: ConnId,
        key: SessionKey,
        bytes: &[u8],
        publish: &Publish<'_>,
        out: &mut Outbox,
    ) -> Flow {
        let alias = if publish.properties.is_empty() { None } else { publish.properties.topic_alias() };
        let Some(alias) = alias else { return self.publish(now, conn, key, bytes, publish, out) };
        if alias > self.home.config.session.topic_alias_max {
            self.fail(now, conn, TOO_LARGE, out);
            return Flow::Gone;
        }
        let Some(this) = self.home.conns.get(conn) else { return Flow::Gone };
        // [MQTT-3.3.2-12]
        let aliases = this.aliases.get_or_insert_default();
        if !publish.topic.is_empty() {
            // Also where the publish is refused: the client does not know of that when it uses the alias.
            if !aliases.set(alias, publish.topic) {
                self.fail(now, conn, TOO_MANY_BYTES, out);
                return Flow::Gone;
            }
            return self.publish(now, conn, key, bytes, publish, out);
        }
        let Some(topic) = aliases.lend(alias) else {
            return self.protocol_error(now, conn, "a Topic Alias that stands for nothing", out); // MQTT 5 3.3.2.3.4
        };
        let flow = self.publish(now, conn, key, bytes, &Publish { topic: &topic, ..*publish }, out);
        if let Some(aliases) = self.home.conns.get(conn).and_then(|this| this.aliases.as_deref_mut()) {
            aliases.give_back(alias, topic);
        }
        flow
    }
}

/// [MQTT-3.3.2-9] [MQTT-3.2.2-17] [MQTT-3.2.2-18]
const TOO_LARGE: Fault =
    Fault { code: ReasonCode::TopicAliasInvalid, what: "a Topic Alias above the Topic Alias Maximum" };
const TOO_MANY_BYTES: Fault =
    Fault { code: ReasonCode::QuotaExceeded, what: "the topics of all Topic Aliases are too long together" };
