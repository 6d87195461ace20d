//! The command line: what may be written, nothing of what it does.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// An MQTT 3.1.1 and 5.0 broker in which messages that belong together travel together, as a tree.
#[derive(Parser, Debug)]
#[command(name = "mote", version, disable_help_subcommand = true)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the broker.
    Serve(Serve),
    /// Show or check configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Subscribe and print what arrives: a message a line, or the state that frames add up to.
    Sub(Box<Sub>),
    /// Publish.
    Pub(Box<Pub>),
    /// Print what is retained under a filter, as JSON, and end.
    Get(Box<Get>),
    /// Write a value into every retained row that matches a filter.
    Set(Box<Set>),
    /// Show what each shard of a broker on this machine does, and what would spread the work better.
    Shards(Shards),
}

#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Print a configuration file with every key, its default and what it does.
    Default,
    /// Check a configuration file: exit 0 if the broker would take it, 3 if not.
    Check { file: PathBuf },
}

#[derive(ClapArgs, Debug, Default)]
pub struct Serve {
    /// Configuration file (`mote config default` prints one).
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Listen here for MQTT; may be repeated; replaces the listeners of the file. Port 0 takes a free port.
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Folder of the retained tree and the sessions.
    #[arg(long, value_name = "DIR", conflicts_with = "memory")]
    pub data: Option<PathBuf>,
    /// Keep nothing on disk.
    #[arg(long)]
    pub memory: bool,
    /// Threads that share the work, one core each.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=engine::limits::SHARDS_MAX as i64))]
    pub shards: Option<u16>,
    /// Set any key of the configuration; stands above the file.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// If the data cannot be opened, move it aside and start with what can be read.
    #[arg(long)]
    pub recover: bool,
    /// More in the log; twice for everything.
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Only errors in the log.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(ClapArgs, Debug)]
pub struct Shards {
    /// Configuration file of the broker, which says where its control socket is.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder of the broker; replaces that of the file.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The control socket itself.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["config", "data"])]
    pub socket: Option<PathBuf>,
    /// One line of JSON.
    #[arg(long)]
    pub json: bool,
    /// Again and again, after so many seconds each, until it is interrupted.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub watch: Option<u64>,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientVersion {
    #[value(name = "mqttv31", alias = "31")]
    V31,
    #[value(name = "mqttv311", alias = "311")]
    V311,
    #[value(name = "mqttv5", alias = "5")]
    V5,
}

/// What the clients share: how to connect. Letters are those of mosquitto_sub and mosquitto_pub.
#[derive(ClapArgs, Debug)]
pub struct Connection {
    /// Broker to connect to.
    #[arg(short = 'h', long, value_name = "HOST", default_value = "localhost")]
    pub host: String,
    /// Its port.
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = 1883)]
    pub port: u16,
    /// Client identifier; without it the client takes one of its own.
    #[arg(short = 'i', long, value_name = "ID")]
    pub client_id: Option<String>,
    /// Protocol version.
    #[arg(short = 'V', long, value_enum, default_value_t = ClientVersion::V5)]
    pub protocol_version: ClientVersion,
    /// Keep Alive in seconds, 0 for none.
    #[arg(short = 'k', long, value_name = "SECONDS", default_value_t = 60)]
    pub keepalive: u16,
    /// User name.
    #[arg(short = 'u', long, value_name = "NAME")]
    pub username: Option<String>,
    /// Password.
    #[arg(short = 'P', long, value_name = "PASSWORD")]
    pub pw: Option<String>,
    /// Session Expiry Interval in seconds (MQTT 5).
    #[arg(short = 'x', long, value_name = "SECONDS")]
    pub session_expiry_interval: Option<u32>,
    /// Continue an earlier session and keep this one: no Clean Start.
    #[arg(short = 'c', long, requires = "client_id")]
    pub disable_clean_session: bool,
    /// Topic of the Will.
    #[arg(long, value_name = "TOPIC")]
    pub will_topic: Option<String>,
    /// Payload of the Will.
    #[arg(long, value_name = "TEXT", requires = "will_topic")]
    pub will_payload: Option<String>,
    /// QoS of the Will.
    #[arg(long, value_name = "QOS", default_value_t = 0, requires = "will_topic", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub will_qos: u8,
    /// The Will is retained.
    #[arg(long, requires = "will_topic")]
    pub will_retain: bool,
    #[arg(long, action = ArgAction::Help, help = "Print help")]
    help: Option<bool>,
}

#[derive(ClapArgs, Debug)]
#[command(disable_help_flag = true)]
pub struct Sub {
    #[command(flatten)]
    pub connection: Connection,
    /// Topic Filter; may be repeated.
    #[arg(short = 't', long = "topic", value_name = "FILTER", required = true)]
    pub topics: Vec<String>,
    /// QoS that is asked for.
    #[arg(short = 'q', long, value_name = "QOS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: u8,
    /// Merged subscription: changes that belong together arrive as one JSON tree; the state is printed after each.
    #[arg(long, conflicts_with = "sync")]
    pub tree: bool,
    /// As --tree, and first what is retained.
    #[arg(long)]
    pub sync: bool,
    /// Only what changed since: the `ver=` of a frame, which -v prints.
    #[arg(long, value_name = "CURSOR", requires = "sync", value_parser = option_value)]
    pub since: Option<String>,
    /// Also the versions of the rows.
    #[arg(long)]
    pub versions: bool,
    /// At most one frame in so many milliseconds.
    #[arg(long, value_name = "MS")]
    pub interval: Option<u32>,
    /// Single messages that say which version their row has, and had before (MQTT 5; -v prints it).
    #[arg(long, conflicts_with_all = ["tree", "sync", "versions", "interval"])]
    pub rows: bool,
    /// End after so many messages.
    #[arg(short = 'C', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End after so many seconds (exit 27, as mosquitto_sub).
    #[arg(short = 'W', long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: Option<u64>,
    /// Print a line for each message or frame: the topic, what the broker says of it, the payload.
    #[arg(short = 'v', long)]
    pub verbose: bool,
    /// Leave out messages that come because they were retained.
    #[arg(short = 'R', long, conflicts_with = "retained_only")]
    pub no_retained: bool,
    /// Print retained messages only, end at the first that is not.
    #[arg(long)]
    pub retained_only: bool,
    /// No line end after a message.
    #[arg(short = 'N', long)]
    pub no_eol: bool,
    /// Say on stderr when the subscription stands.
    #[arg(short = 'd', long)]
    pub debug: bool,
}

impl Sub {
    /// For more than what MQTT has.
    pub fn asks_for_more(&self) -> bool {
        self.tree || self.sync || self.rows || self.versions || self.interval.is_some()
    }
}

#[derive(ClapArgs, Debug)]
#[command(disable_help_flag = true)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["message", "file", "stdin_line", "stdin_file", "null_message"]))]
pub struct Pub {
    #[command(flatten)]
    pub connection: Connection,
    /// Topic Name.
    #[arg(short = 't', long, value_name = "TOPIC")]
    pub topic: String,
    /// The payload.
    #[arg(short = 'm', long, value_name = "TEXT", allow_hyphen_values = true)]
    pub message: Option<String>,
    /// The payload is what this file holds.
    #[arg(short = 'f', long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Every line of the standard input is a message.
    #[arg(short = 'l', long)]
    pub stdin_line: bool,
    /// The standard input is the payload.
    #[arg(short = 's', long)]
    pub stdin_file: bool,
    /// An empty payload: with -r it deletes what is retained.
    #[arg(short = 'n', long)]
    pub null_message: bool,
    /// The message is retained.
    #[arg(short = 'r', long)]
    pub retain: bool,
    /// QoS; without it 0, and 1 with --put, --if, --id and --replace, whose outcome the acknowledgement tells.
    #[arg(short = 'q', long, value_name = "QOS", value_parser = clap::value_parser!(u8).range(0..=2))]
    pub qos: Option<u8>,
    /// Publish the message so many times.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub repeat: u64,
    /// Tree publish: the JSON object spreads into one row per leaf.
    #[arg(long)]
    pub tree: bool,
    /// Retained rows that the pattern covers and the object does not have are deleted.
    #[arg(long, requires = "tree")]
    pub replace: bool,
    /// An ordinary publish whose outcome is told; meant by --if and --id without --tree.
    #[arg(long, conflicts_with = "tree")]
    pub put: bool,
    /// Only if the version of the object at the topic is this; 0: if there is none; any: if there is one. With -r.
    #[arg(long = "if", value_name = "N|any", value_parser = condition)]
    pub condition: Option<String>,
    /// Applied once: the same key again within some minutes is acknowledged as the first time.
    #[arg(long, value_name = "KEY", value_parser = option_value)]
    pub id: Option<String>,
    /// Print what the broker says of what it applied: `ok;ver=` and the version.
    #[arg(short = 'v', long)]
    pub verbose: bool,
}

#[derive(ClapArgs, Debug)]
#[command(disable_help_flag = true)]
pub struct Get {
    #[command(flatten)]
    pub connection: Connection,
    /// Topic Filter; `*` may be written for `+` and `**` for `#`.
    pub filter: String,
    /// Also the versions of the rows.
    #[arg(long)]
    pub versions: bool,
}

#[derive(ClapArgs, Debug)]
#[command(disable_help_flag = true)]
pub struct Set {
    #[command(flatten)]
    pub connection: Connection,
    /// Topic Filter; `*` may be written for `+` and `**` for `#`.
    pub filter: String,
    /// The new payload of each row; an empty one deletes them.
    #[arg(allow_hyphen_values = true)]
    pub value: String,
    /// Applied once: the same key again within some minutes is acknowledged as the first time.
    #[arg(long, value_name = "KEY", value_parser = option_value)]
    pub id: Option<String>,
    /// Print what the broker says of what it applied: `ok;ver=` and the version.
    #[arg(short = 'v', long)]
    pub verbose: bool,
}

/// A value that can stand in an intent.
fn option_value(text: &str) -> Result<String, &'static str> {
    let is_forbidden = |c: char| matches!(c, ';' | '/' | '+' | '#') || c.is_control();
    if text.is_empty() || text.contains(is_forbidden) {
        return Err("it may not be empty or contain ; / + # or control characters");
    }
    Ok(text.to_owned())
}

fn condition(text: &str) -> Result<String, &'static str> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u64>().is_ok();
    if text == "any" || is_number { Ok(text.to_owned()) } else { Err("it is a version, 0 or any") }
}
