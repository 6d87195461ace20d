//! One merged subscription as its receiver sees it, and what it has to see.

use super::frame::{Form, Frame, Mark, Seen, matches};
use super::{Effect, Group, Model, Moment, Op, Row};
use crate::packet::Message;
use engine::key::GroupId;
use std::collections::{BTreeMap, BTreeSet};

/// What a receiver has of a row.
#[derive(Clone, Debug)]
enum Shown {
    /// It is told by the test: `tree` sends no snapshot.
    Known(Row),
    /// With its version, if that was told.
    Seen(Seen, Option<u64>),
}

/// How a subscription was asked for.
#[derive(Clone, Copy, Default, Debug)]
pub struct Wish {
    pub form: Form,
    /// The QoS that was granted.
    pub qos: u8,
    /// No events.
    pub state: bool,
    /// 0: none.
    pub interval_ms: u64,
}

/// See the module.
#[derive(Clone)]
pub struct Reader {
    pub filter: String,
    pub wish: Wish,
    /// Number of the next frame; None: the broker has begun again, and goes on or counts anew.
    next: Option<u64>,
    shown: BTreeMap<String, Shown>,
    /// Where in the past of each group it stands: an index.
    at: BTreeMap<GroupId, usize>,
    /// In the middle of a series: what it has is no state.
    in_series: bool,
    /// A frame may be lost, or is due that says `reset`.
    pub may_reset: bool,
    /// Events that came, with their topics.
    pub events: Vec<(String, Option<Seen>)>,
    pub lost: u64,
    /// Frames since the last look.
    pub frames: Vec<Frame>,
}

/// What is due: kind, QoS and rows of one frame.
#[derive(Debug)]
pub struct Due {
    pub kind: &'static str,
    pub qos: u8,
    pub rows: BTreeMap<String, Option<Row>>,
}

impl Reader {
    /// Right after the subscription was granted, with what is retained now: `sync` is told it, `tree` never.
    pub fn new(filter: &str, wish: Wish, is_sync: bool, model: &Model) -> Reader {
        let mut reader = Reader {
            filter: filter.to_string(),
            wish,
            next: Some(0),
            shown: BTreeMap::new(),
            at: BTreeMap::new(),
            in_series: is_sync,
            may_reset: false,
            events: Vec::new(),
            lost: 0,
            frames: Vec::new(),
        };
        if !is_sync {
            reader.be_told(model);
        }
        reader
    }

    /// Everything that is retained now is known without a frame.
    pub fn be_told(&mut self, model: &Model) {
        let rows = model.matching(&self.filter).into_iter();
        self.shown = rows.map(|(topic, row)| (topic, Shown::Known(row))).collect();
        self.at = model.groups.iter().map(|(id, group)| (*id, group.past.len() - 1)).collect();
        self.in_series = false;
    }

    /// The broker has begun again: it may count anew, and send everything anew.
    pub fn begin_anew(&mut self) {
        self.next = None;
        self.may_reset = true;
    }

    /// Takes one frame. Returns it as read.
    pub fn take(&mut self, message: &Message, model: &Model, is_event: bool) {
        let frame = Frame::read(&self.filter, self.wish.form, message);
        let kind = match &frame.mark {
            Some(mark) => mark.kind.clone(),
            // What MQTT 3.1.1 does not say.
            None if is_event && !frame.is_retain => "event".to_string(),
            None => "live".to_string(),
        };
        self.check_mark(&frame, message);
        if kind == "event" {
            assert!(!self.wish.state, "{}: no event was wanted: {}", self.filter, message.line());
            self.events.extend(frame.rows.iter().cloned());
            return self.frames.push(frame);
        }
        if frame.mark.as_ref().is_some_and(|mark| mark.has("reset")) {
            assert!(self.may_reset, "{}: nothing is void: {}", self.filter, message.line());
            self.may_reset = false;
            self.shown.clear();
        }
        let wants_versions = self.wish.form.versions && kind != "event";
        for (topic, value) in &frame.rows {
            assert!(matches(&self.filter, topic), "{} does not match {topic}", self.filter);
            let version = frame.versions.get(topic).copied();
            assert_eq!(version.is_some(), wants_versions, "{topic} in {}", message.line());
            match value {
                Some(seen) => self.shown.insert(topic.clone(), Shown::Seen(seen.clone(), version)),
                None => self.shown.remove(topic),
            };
        }
        // Without marks nothing says where a series ends.
        self.in_series = kind == "part" || frame.mark.as_ref().is_none_or(|mark| mark.has("more"));
        if !self.in_series {
            self.stand(model, &frame, message);
        }
        self.frames.push(frame);
    }

    /// What a frame says of itself, and its flags.
    fn check_mark(&mut self, frame: &Frame, message: &Message) {
        let Some(mark) = &frame.mark else { return };
        let is_snapshot = mark.kind == "part" || mark.kind == "snap";
        assert_eq!(frame.is_retain, is_snapshot, "RETAIN of {}", message.line());
        let due = self.next.unwrap_or(mark.n);
        assert!(mark.n == due, "{}: frame {} where {due} was due", self.filter, mark.n);
        self.next = Some(due + 1);
        self.lost += mark.fields.get("lost").map_or(0, |lost| lost.parse().expect("a count"));
        let is_one_group = !super::stem(&self.filter).is_empty();
        assert_eq!(mark.has("obj"), is_one_group && mark.kind != "event", "{}: {mark:?}", self.filter);
        assert!(!is_one_group || has_cursor(mark), "{}: no cursor: {mark:?}", self.filter);
        if self.filter.contains(['+', '#']) && message.properties.mote().is_some() {
            let properties = message.properties.read();
            assert_eq!(properties.content_type(), Some("application/json"));
            assert_eq!(properties.payload_format_indicator(), Some(1));
        }
    }

    /// What it has now is what was retained at some moment, of each group, and no moment before the last.
    fn stand(&mut self, model: &Model, frame: &Frame, message: &Message) {
        for (id, group) in &model.groups {
            let from = self.at.get(id).copied().unwrap_or(0);
            let moments = from..group.past.len();
            let Some(at) = moments.clone().find(|at| {
                self.is_at(model, *id, &group.past[*at].rows) && self.is_of(model, *id, frame, &group.past[*at])
            }) else {
                panic!(
                    "{} shows of {id:?} what never was since {from} of {}: {:?}\nafter {}\nis {:?}",
                    self.filter,
                    group.past.len(),
                    self.of_group(model, *id),
                    message.line(),
                    &group.past[from..]
                );
            };
            self.at.insert(*id, at);
        }
    }

    fn of_group(&self, model: &Model, id: GroupId) -> BTreeMap<&String, &Shown> {
        self.shown.iter().filter(|(topic, _)| model.group_of(topic) == id).collect()
    }

    fn is_at(&self, model: &Model, id: GroupId, rows: &super::Rows) -> bool {
        let shown = self.of_group(model, id);
        let rows: Vec<(&String, &Row)> = rows.iter().filter(|(topic, _)| matches(&self.filter, topic)).collect();
        let is_row = |((topic, shown), (want, row)): ((&&String, &&Shown), &(&String, &Row))| {
            topic == want
                && match shown {
                    Shown::Known(known) => known.payload == row.payload,
                    Shown::Seen(seen, version) => {
                        seen.shows(row, self.wish.form) && version.is_none_or(|version| version == row.version)
                    }
                }
        };
        shown.len() == rows.len() && shown.iter().zip(&rows).all(is_row)
    }

    /// What the frame says of versions is so at that moment.
    fn is_of(&self, model: &Model, id: GroupId, frame: &Frame, moment: &Moment) -> bool {
        let own = |topic: &String| !topic.is_empty() && model.group_of(topic) == id;
        let stem = super::stem(&self.filter);
        let of_stem = frame.mark.as_ref().and_then(|mark| mark.fields.get("obj")?.parse().ok());
        let objects = frame.objects.iter().map(|(object, version)| (object, *version));
        let mut objects = objects.chain(of_stem.map(|version| (&stem, version))).filter(|(object, _)| own(object));
        let mut gone = frame.rows.iter().filter(|(topic, seen)| seen.is_none() && own(topic));
        objects.all(|(object, version)| moment.object_version(object) == version)
            && gone.all(|(topic, _)| match frame.versions.get(topic) {
                // Of a filter without wildcard a snapshot tells too that there is no row.
                Some(0) => frame.is_retain,
                Some(version) => moment.graves.get(topic) == Some(version),
                None => true,
            })
    }

    /// Everything has come: what it has is what is retained.
    pub fn check_now(&mut self, model: &Model, who: &str) {
        for (id, group) in &model.groups {
            let is_now = self.is_at(model, *id, group.rows());
            let shown = self.of_group(model, *id);
            assert!(is_now, "{who}: {} shows of {id:?} {shown:?}, where is {:?}", self.filter, group.rows());
            self.at.insert(*id, group.past.len() - 1);
        }
        self.in_series = false;
    }

    /// What came was looked at.
    pub fn forget(&mut self) {
        self.frames.clear();
        self.events.clear();
        self.lost = 0;
    }

    /// The events of a storm: of each row that came, one that was published and no older than the one before of its
    /// publisher; of each topic the last is the last of some publisher, unless it was lost. Returns how many came.
    pub fn check_events(&mut self, published: &[(usize, String, Row)], who: &str) -> usize {
        let own = published.iter().filter(|(_, topic, _)| matches(&self.filter, topic) && !self.wish.state);
        let mut own: BTreeMap<&String, Vec<(usize, &Row)>> =
            own.fold(BTreeMap::new(), |mut all, (writer, topic, row)| {
                let of: &mut Vec<(usize, &Row)> = all.entry(topic).or_default();
                of.push((*writer, row));
                all
            });
        let came = std::mem::take(&mut self.events);
        let mut last: BTreeMap<&String, usize> = BTreeMap::new();
        for (topic, seen) in &came {
            let is_it = |row: &Row| match seen {
                Some(seen) => seen.shows(row, self.wish.form),
                None => row.payload.is_empty(),
            };
            let published = own.get_mut(topic).unwrap_or_else(|| panic!("{who}: {topic} out of nothing: {seen:?}"));
            let Some(at) = published.iter().position(|(_, row)| is_it(row)) else {
                panic!("{who}: {} got {seen:?} of {topic}, waiting were {published:?}", self.filter);
            };
            // What the same publisher said before can no longer come; whose an empty one was nobody knows.
            let (writer, row) = published[at];
            if row.payload.is_empty() {
                continue;
            }
            let mut index = 0;
            published.retain(|(other, _)| {
                index += 1;
                *other != writer || index - 1 > at
            });
            last.insert(topic, writer);
        }
        // Empty ones look alike.
        let alike: BTreeSet<&String> =
            published.iter().filter(|(_, _, row)| row.payload.is_empty()).map(|(_, topic, _)| topic).collect();
        let missed = |(topic, rest): (&&String, &Vec<(usize, &Row)>)| match last.get(topic) {
            Some(writer) => rest.iter().any(|(other, _)| other == writer),
            None => !rest.is_empty(),
        };
        let missed = own.iter().filter(|(topic, rest)| !alike.contains(*topic) && missed((topic, rest))).count() as u64;
        assert!(
            missed <= std::mem::take(&mut self.lost),
            "{who}: {} never got events of {missed} topics: {own:?}",
            self.filter
        );
        came.len()
    }

    /// The frames that one publish, alone and with everybody at rest, makes.
    pub fn due(&self, op: &Op, effects: &[(GroupId, Effect)], model: &Model) -> Vec<Due> {
        let mut due = Vec::new();
        if !op.retain {
            let mut groups: BTreeMap<GroupId, BTreeMap<String, Option<Row>>> = BTreeMap::new();
            let rows = Model::spread(op).into_iter().flatten();
            for (topic, (payload, text)) in rows.filter(|(topic, _)| matches(&self.filter, topic)) {
                let row = Row { payload, text, version: 0 };
                groups.entry(model.group_of(&topic)).or_default().insert(topic, Some(row));
            }
            let qos = op.qos.min(self.wish.qos);
            let groups = groups.into_values().filter(|_| !self.wish.state);
            due.extend(groups.map(|rows| Due { kind: "event", qos, rows }));
            return due;
        }
        for (id, effect) in effects {
            let Effect::Change(written) = effect else { continue };
            let group: &Group = &model.groups[id];
            let topics: BTreeSet<&String> = written.keys().filter(|topic| matches(&self.filter, topic)).collect();
            let rows = topics.into_iter().map(|topic| (topic.clone(), group.rows().get(topic).cloned()));
            let rows: BTreeMap<String, Option<Row>> = rows.collect();
            if !rows.is_empty() {
                due.push(Due { kind: "live", qos: op.qos.min(self.wish.qos), rows });
            }
        }
        due
    }

    /// The frames that came are those that were due, in any order of the groups.
    pub fn check_due(&mut self, mut due: Vec<Due>, who: &str) {
        for frame in std::mem::take(&mut self.frames) {
            let Some(at) = due.iter().position(|due| self.is_due(&frame, due)) else {
                panic!("{who}: {} got {frame:?}, due was {due:?}", self.filter);
            };
            due.remove(at);
        }
        assert!(due.is_empty(), "{who}: {} never got {due:?}", self.filter);
    }

    fn is_due(&self, frame: &Frame, due: &Due) -> bool {
        let looks = |seen: &Option<Seen>, row: &Option<Row>| match (seen, row) {
            (Some(seen), Some(row)) => seen.shows(row, self.wish.form),
            (None, Some(row)) => row.payload.is_empty() && !self.filter.contains(['+', '#']),
            (None, None) => true,
            (Some(_), None) => false,
        };
        let is_row = |(topic, seen): &(String, Option<Seen>)| due.rows.get(topic).is_some_and(|row| looks(seen, row));
        let topics: BTreeSet<&String> = frame.rows.iter().map(|(topic, _)| topic).collect();
        let kind = frame.mark.as_ref().map(|mark| mark.kind.as_str());
        kind.is_none_or(|kind| kind == due.kind)
            && frame.qos == due.qos
            && topics.len() == due.rows.len()
            && frame.rows.len() == due.rows.len()
            && frame.rows.iter().all(is_row)
    }
}

fn has_cursor(mark: &Mark) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let cursor = mark.fields.get("ver");
    cursor.is_some_and(|cursor| cursor.len() <= 4_096 && !cursor.is_empty() && cursor.bytes().all(is_letter))
}
