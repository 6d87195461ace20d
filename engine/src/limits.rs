//! Every bound of the broker that is not a setting, in one place, with the unit last.
//! A setting (`config.rs`) may be lower than the bound here, never higher.

/// Remaining Length that four bytes of a Variable Byte Integer can say, section 1.5.5.
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;
/// Longest fixed header: one type byte and four length bytes.
pub const FIXED_HEADER_BYTES_MAX: usize = 5;
/// Longest UTF-8 string or binary field of MQTT, section 1.5.4.
pub const STRING_BYTES_MAX: usize = 65_535;
/// Default of `limits.packet_bytes`: the largest packet that is read.
pub const PACKET_BYTES_DEFAULT: usize = 2 * 1024 * 1024;
/// The largest CONNECT that is read, where `limits.packet_bytes` is not less: each of its texts and binaries once and
/// at its longest (Client Identifier, User Name, Password, Will Topic and Payload, and as properties Authentication
/// Method and Data, Content Type, Response Topic, Correlation Data), and as much as one more for all that is short and
/// for User Properties. Nobody is known before CONNECT, so nobody may fill the memory with more.
pub const CONNECT_BYTES_MAX: usize = 11 * (3 + STRING_BYTES_MAX);

/// Groups that the topic tree is dealt into (PROTOCOL: groups), the last for `$SYS` alone.
pub const GROUPS: usize = 256;
/// Groups that the roots of clients hash to. Recorded in the store.
pub const GROUPS_OF_ROOTS: usize = GROUPS - 1;
/// Shards that one process may run.
pub const SHARDS_MAX: usize = 64;
/// Default of `limits.topic_levels`.
pub const TOPIC_LEVELS_DEFAULT: usize = 200;
/// More levels than this cannot be configured: a topic of 65 535 bytes has at most 65 536.
pub const TOPIC_LEVELS_MAX: usize = 65_536;
/// Sets of two topics that the cache of matches grows to: 1.5 MiB of a shard.
pub const TOPIC_CACHE_SETS_MAX: usize = 4_096;
/// Longer topics are matched anew each time.
pub const TOPIC_CACHE_BYTES_MAX: usize = 120;
/// So are topics that more filters match than this.
pub const TOPIC_CACHE_FILTERS_MAX: usize = 14;

/// Default of `limits.tree_rows`: rows of one tree publish.
pub const TREE_ROWS_DEFAULT: usize = 65_536;
/// Default of `limits.set_rows`: rows of one group that one `set` writes, or one `replace` deletes.
pub const SET_ROWS_DEFAULT: usize = 65_536;
/// Default of `limits.idempotency_s`: how long the outcome of a publish with option `id` is remembered.
pub const IDEMPOTENCY_S_DEFAULT: u32 = 600;
/// Default of `limits.idempotency_max`: outcomes that one group remembers, the oldest first to go. 150 bytes each.
pub const IDEMPOTENCY_MAX_DEFAULT: usize = 16_384;
/// Outcomes that each further one forgets at most, so that an excess shrinks.
pub const OUTCOMES_TRIMMED_PER_CHANGE: usize = 4;
/// Messages to Response Topics that wait for room at their owners, before no publish that may lead to one is taken.
pub const REPLIES_WAITING_MAX: usize = 64;
/// Nesting of JSON, in tree publishes and in embedded values.
pub const JSON_DEPTH_MAX: usize = 64;
/// Topics of the rows of one tree publish in sum: a long pattern before many short keys must not fill the memory.
pub const TREE_TOPIC_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A merge that has grown beyond this gives its memory back before the next frame.
pub const MERGE_SCRATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// While the process holds as much memory as it may, a packet of which so many bytes have come and that is not complete
/// ends its connection.
pub const UNFINISHED_BYTES_MAX: usize = 64 * 1024;
/// Default of `limits.frame_bytes`: the largest merged frame before it is split.
pub const FRAME_BYTES_DEFAULT: usize = 1024 * 1024;
/// Longest cursor, in letters.
pub const CURSOR_BYTES_MAX: usize = 4 * 1024;
/// What option `meta` puts around a tree, at its longest, but for a cursor of several groups.
pub const META_BYTES_MAX: usize = 256;
/// Default of `limits.frames_unacked`.
pub const FRAMES_UNACKED_DEFAULT: u16 = 2;
/// Default of `limits.events_waiting`: rows of events that wait for the slow readers of one merged filter at one home.
pub const EVENTS_WAITING_DEFAULT: usize = 10_000;
/// Their topics and values.
pub const EVENTS_WAITING_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A client that takes no packet as large is not told a cursor of many groups: it would leave no place for rows.
pub const CURSOR_PACKET_BYTES_MIN: usize = 4 * CURSOR_BYTES_MAX;
/// A cursor of many groups is said on a live frame no sooner than so many milliseconds after the last.
pub const CURSOR_SAID_EVERY_MS: u64 = 1_000;

/// An open parcel is closed when its arena has grown beyond this.
pub const PARCEL_BYTES_MAX: usize = 256 * 1024;
/// Items of an open parcel.
pub const PARCEL_ITEMS_MAX: usize = 4_096;
/// Requests to owners that wait for room before a home takes no further SUBSCRIBE and UNSUBSCRIBE.
pub const ASKS_WAITING_MAX: usize = 4_096;
/// Members of a share group that are looked at for the one with the least to do, before one is given a message.
pub const SHARE_LOOK_MAX: usize = 16;
/// Subscriptions of a member above which its owners are not told when it is busy: each of its groups would be.
pub const SHARE_BUSY_SUBSCRIPTIONS_MAX: usize = 64;
/// Times that a message of a share group goes back to its owner since its home had nobody, before a member keeps it.
pub const SHARE_RETURNS_MAX: u8 = 16;
/// Requests to one owner that wait for room, before what would go back to it is kept by an absent member or dropped.
pub const SHARE_RETURNS_WAITING_MAX: usize = 65_536;
/// Default of `shards.link_parcels`: parcels that one lane of a link holds (its credit).
pub const LINK_PARCELS_DEFAULT: usize = 64;

/// Default of `limits.rows_per_turn`: rows of one batch that an owner applies in one turn before it gives others theirs.
pub const ROWS_PER_TURN_DEFAULT: usize = 1_024;
/// Default of `limits.work_per_turn`: rows applied, and handles that they are passed to, for what one client sent, before
/// others have their turn: 32 768 readers of one message are ten milliseconds, a run of messages to one a tenth of that.
pub const WORK_PER_TURN_DEFAULT: usize = 32_768;
/// Bytes of batches that wait for an owner to apply them in slices; with more it applies them at once.
pub const SLICED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a slice of a walk costs of `limits.rows_per_turn` beside its rows: it is asked for, sent and waited for.
pub const WALK_SLICE_ROWS: usize = 16;
/// Retained rows that a walk visits in one turn before it gives others their turn.
pub const WALK_ROWS_PER_TURN_MAX: usize = 1_024;
/// Rows that a merged walk makes frames of in one turn: about a millisecond of them.
pub const FRAME_ROWS_PER_TURN_MAX: usize = 1_024;
/// Nodes that it looks at for them.
pub const FRAME_NODES_PER_TURN_MAX: usize = 4 * FRAME_ROWS_PER_TURN_MAX;
/// Bytes that a walk sends to one home before it waits for that home's ready.
pub const WALK_BYTES_PER_TURN_MAX: usize = 256 * 1024;
/// Default of `store.tombstone_s`: how long a deleted row is remembered for those who catch up.
pub const TOMBSTONE_S_DEFAULT: u64 = 172_800;
/// Default of `store.tombstones_max`: deleted rows that a process remembers.
pub const TOMBSTONES_MAX_DEFAULT: u64 = 1_000_000;
/// Tombstones that each change forgets beside twice as many as it may have made, so that an excess shrinks.
pub const TOMBSTONES_TRIMMED_PER_CHANGE: usize = 16;
/// Default of `limits.sessions`: sessions of the whole process.
pub const SESSIONS_DEFAULT: u64 = 10_000_000;
/// Default of `limits.retained_rows`: retained rows of the whole process.
pub const RETAINED_ROWS_DEFAULT: u64 = 10_000_000;
/// Default of `limits.retained_bytes`: topics, payloads and properties of all retained rows.
pub const RETAINED_BYTES_DEFAULT: u64 = 4 << 30;
/// Default of `limits.history_bytes`: topics and payloads of all changes in histories, and 128 bytes for each.
pub const HISTORY_BYTES_DEFAULT: u64 = 256 << 20;
/// Largest `depth` of a history that can be configured.
pub const HISTORY_DEPTH_MAX: usize = 1_000_000;
/// Walks of one session that bring retained messages to plain subscriptions at the same time; the others wait for
/// them. What one session may be sent beside its queue is a slice of each.
pub const PLAIN_WALKS_MAX: usize = 4;
/// Gets of one session that are not answered yet; one more is refused.
pub const GETS_PER_SESSION_MAX: usize = 8;
/// Gets of one shard that are answered to a Response Topic though who asked is gone; what is beyond them is not.
pub const GETS_DETACHED_MAX: usize = 256;
/// Slices of gets that one shard has asked for and is going to publish to a Response Topic: each adds one packet to
/// what its lanes hold.
pub const REPLIES_DUE_MAX: usize = 16;
/// Rows whose matching filters are held at once.
pub const MATCHED_ROWS_MAX: usize = 256;
/// Topics of a shard that stand for what it works for, before every second one goes.
pub const SAMPLES_MAX: usize = 512;
/// As much of each is kept.
pub const SAMPLE_TOPIC_BYTES_MAX: usize = 124;
/// Timers that one turn handles.
pub const TIMER_BURST_MAX: usize = 1_024;

/// Unsent bytes of a socket above which nothing that may be dropped, queued or merged is written.
pub const SEND_HIGH_BYTES: usize = 1024 * 1024;
/// Unsent bytes of a socket above which no frame is written while a send is in flight: what changes waits to be merged.
pub const SEND_FRAMES_BYTES: usize = 4 * 1024;
/// Unsent bytes of a socket below which it counts as drained again.
pub const SEND_LOW_BYTES: usize = 256 * 1024;
/// Unsent bytes above which a socket is no longer read: its peer asks more than it takes.
pub const SEND_STOP_READING_BYTES: usize = 4 * 1024 * 1024;
/// Publishes of one client that are passed on as one have no more bytes than this, unless it is one alone.
pub const RUN_BYTES_MAX: usize = 64 * 1024;

/// Packet identifiers, [MQTT-2.2.1-4]: 1 to 65 535.
pub const PACKET_IDS: usize = 65_535;
/// Default of `session.receive_max`: QoS 1 and 2 publishes of a client that wait for their acknowledgement.
pub const RECEIVE_MAX_DEFAULT: u16 = 1_024;
/// A window smaller than this is filled with every acknowledgement, a larger one when a quarter of it is free.
pub const WINDOW_FILLED_AT_ONCE: usize = 16;
/// Milliseconds that what could be sent may wait for more room in the window.
pub const WINDOW_WAITS_MS: u64 = 1;
/// Default of `session.inflight_max`: QoS 1 and 2 deliveries to a client that are unacknowledged. As many as a client may
/// send: a window is refilled by the quarter, and a quarter of 256 is too few messages to pay for two system calls.
pub const INFLIGHT_MAX_DEFAULT: u16 = RECEIVE_MAX_DEFAULT;
/// Default of `session.topic_alias_max`: aliases that a client may set. Others tell 5 to 16 (HiveMQ, AWS, Mosquitto,
/// RabbitMQ); a device that repeats its topics has few, and each may be as long as a topic.
pub const TOPIC_ALIAS_MAX_DEFAULT: u16 = 16;
/// Bytes of the topics that the aliases of one connection stand for. A client that goes beyond them is disconnected
/// with 0x97.
pub const TOPIC_ALIAS_BYTES_MAX: usize = 256 * 1024;
/// Aliases that a client is sent, though it take more: what one connection keeps for them is this many topics.
pub const TOPIC_ALIASES_TO_CLIENT_MAX: usize = 16;
/// Topics that are remembered as sent once to a client, of which the next to come again gets an alias.
pub const TOPIC_ALIAS_SEEN: usize = 32;
/// Shorter topics are sent as they are: the alias itself takes 3 bytes.
pub const TOPIC_ALIAS_TOPIC_BYTES_MIN: usize = 6;
/// So are longer ones, which the broker would have to keep.
pub const TOPIC_ALIAS_TOPIC_BYTES_MAX: usize = 1_024;
/// Longest `session.response_information`: it is part of every CONNACK that tells it.
pub const RESPONSE_INFORMATION_BYTES_MAX: usize = 1_024;
/// Default of `session.queue_messages`.
pub const QUEUE_MESSAGES_DEFAULT: usize = 10_000;
/// Default of `session.queue_bytes`.
pub const QUEUE_BYTES_DEFAULT: usize = 16 * 1024 * 1024;
/// Milliseconds that a session that changed waits to be written with others, unless somebody waits for the disk.
pub const SESSIONS_WRITTEN_EVERY_MS: u64 = 20;
/// Sessions that are written in one turn, unless somebody waits for the disk.
pub const SESSIONS_WRITTEN_PER_TURN_MAX: usize = 1_024;
/// Default of `limits.subscriptions`: filters of one session.
pub const SUBSCRIPTIONS_DEFAULT: usize = 10_000;
/// Subscriptions of one session that are looked through to find one; a session with more keeps an index.
pub const SUBSCRIPTIONS_SEARCHED_MAX: usize = 32;
/// Subscriptions of sessions that have ended that one turn removes; one that has no more ends in one step.
pub const SUBSCRIPTIONS_ENDED_PER_TURN_MAX: usize = 1_024;
/// Default of `limits.client_id_bytes`.
pub const CLIENT_ID_BYTES_DEFAULT: usize = 1_024;

/// Default of `sys.interval_s`, as Mosquitto's.
pub const SYS_INTERVAL_S_DEFAULT: u32 = 10;
/// Longest `sys.interval_s` that can be configured: a day.
pub const SYS_INTERVAL_S_MAX: u32 = 86_400;

/// Changes of a group that the store reserves numbers for ahead of their use.
pub const VERSION_RESERVE: u64 = 1 << 21;
/// A new bound is asked for when fewer numbers than this are left.
pub const VERSION_RESERVE_LOW: u64 = 1 << 20;
/// Things that may wait at a home while the store takes nothing, sessions that changed and wills among them, before a CONNECT
/// that would add to them is refused.
pub const WAITING_FOR_STORE_MAX: usize = 1 << 16;
/// Default of `store.pending_bytes`: changes that wait for the writer.
pub const STORE_PENDING_BYTES_DEFAULT: usize = 64 * 1024 * 1024;
/// What the smallest change costs of `store.pending_bytes`.
pub const CHANGE_BYTES_MIN: usize = 64;
/// Largest `store.pending_bytes` that can be configured.
pub const STORE_PENDING_BYTES_MAX: usize = 64 * 1024 * 1024;

// A number may be shown before its bound is committed only if the bound was asked for more changes
// ago than can wait for the writer at once.
const _: () = assert!(VERSION_RESERVE_LOW as usize * CHANGE_BYTES_MIN >= STORE_PENDING_BYTES_MAX);
const _: () = assert!(VERSION_RESERVE_LOW < VERSION_RESERVE);
const _: () = assert!(SEND_LOW_BYTES < SEND_HIGH_BYTES && SEND_HIGH_BYTES < SEND_STOP_READING_BYTES);
const _: () = assert!(CONNECT_BYTES_MAX <= PACKET_BYTES_DEFAULT);
const _: () = assert!(PACKET_BYTES_DEFAULT <= REMAINING_LENGTH_MAX + FIXED_HEADER_BYTES_MAX);
// Homes are told apart by the bits of a u64.
const _: () = assert!(SHARDS_MAX <= u64::BITS as usize);
const _: () = assert!(ASKS_WAITING_MAX < SHARE_RETURNS_WAITING_MAX);
const _: () = assert!(GROUPS <= u16::MAX as usize + 1);
