//! `mote get`, `set`, and the flags of `sub` and `pub` that are about trees, against the broker.

use super::process::Broker;
use std::process::{Child, Command, Output, Stdio};

struct Shell {
    broker: Broker,
}

impl Shell {
    fn new(shards: usize) -> Shell {
        Shell { broker: Broker::start(shards) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let (verb, rest) = arguments.split_first().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mote"));
        command.args([verb, "-h", "127.0.0.1", "-p", &self.broker.port.to_string()]).args(rest);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What it prints; it must end well.
    fn prints(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), error.as_str()), (Some(0), ""), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A subscriber that ends by itself, once it is subscribed.
    fn subscriber(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        let mut child = command.arg("-d").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = Vec::new();
        let error = child.stderr.as_mut().unwrap();
        while !said.ends_with(b"\n") {
            let mut byte = [0];
            assert_eq!(std::io::Read::read(error, &mut byte).unwrap(), 1, "it ended");
            said.push(byte[0]);
        }
        child
    }
}

fn ended(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

const BEDROOM: &str = "{\n  \"brightness\": 55,\n  \"color\": \"#FFFFFF\",\n  \"is_on\": 1\n}\n";

#[test]
fn what_is_published_as_a_tree_is_got_as_one() {
    for shards in [1, 3] {
        let shell = Shell::new(shards);
        let tree = r##"{"is_on":1,"brightness":55,"color":"#FFFFFF"}"##;
        assert_eq!(shell.prints(&["pub", "--tree", "-r", "-q", "1", "-t", "light/bedroom", "-m", tree]), "");
        for version in ["mqttv5", "mqttv311", "mqttv31"] {
            for filter in ["light/bedroom/+", "light/bedroom/#", "light/bedroom/*", "light/bedroom/**"] {
                assert_eq!(shell.prints(&["get", "-V", version, filter]), BEDROOM, "{version} {filter}");
            }
            assert_eq!(shell.prints(&["get", "-V", version, "nothing/+"]), "{}\n");
            assert_eq!(
                shell.prints(&["get", "-V", version, "+/+/is_on"]),
                "{\n  \"light\": {\n    \"bedroom\": 1\n  }\n}\n"
            );
            assert_eq!(shell.prints(&["sub", "-V", version, "--sync", "-C", "1", "-t", "light/bedroom/+"]), BEDROOM);
            assert_eq!(shell.prints(&["get", "-V", version, "light/bedroom/is_on"]), "1\n");
        }
    }
}

#[test]
fn a_bad_question_ends_with_1() {
    let shell = Shell::new(1);
    for (version, text) in [("mqttv5", "refused: topic name invalid (0x90): "), ("mqttv311", "refused: {\"error\":")] {
        let output = shell.run(&["get", "-V", version, "a/#/b"]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(error.starts_with(&format!("mote get: {text}")), "{error}");
    }
}

#[test]
fn a_subscriber_folds_what_comes_and_prints_the_state() {
    for shards in [1, 3] {
        let shell = Shell::new(shards);
        shell.prints(&["pub", "-r", "-q", "1", "-t", "l/a", "-m", "1"]);
        shell.prints(&["pub", "-r", "-q", "1", "-t", "l/b", "-m", "on"]);
        for version in ["mqttv5", "mqttv311"] {
            let folding = shell.subscriber(&["sub", "-V", version, "--sync", "-C", "3", "-t", "l/+"]);
            shell.prints(&["pub", "-r", "-q", "1", "-t", "l/a", "-m", "2"]);
            shell.prints(&["pub", "--tree", "-r", "-q", "1", "-t", "l/+", "-m", r#"{"a":1,"b":"on"}"#]);
            let state = |a: u32| format!("{{\n  \"a\": {a},\n  \"b\": \"on\"\n}}\n");
            assert_eq!(ended(folding), [state(1), state(2), state(1)].concat(), "{version}");
        }
        // A line for each frame, with what it says about itself.
        let verbose = shell.prints(&["sub", "-v", "--sync", "-C", "1", "-t", "l/+"]);
        assert!(verbose.starts_with("l/+ frame;snap;n=0;ver="), "{verbose}");
        assert!(verbose.ends_with(" {\"a\":1,\"b\":\"on\"}\n"), "{verbose}");
    }
}

#[test]
fn events_are_lines_of_their_own() {
    let shell = Shell::new(1);
    shell.prints(&["pub", "-r", "-q", "1", "-t", "e/a", "-m", "1"]);
    let reader = shell.subscriber(&["sub", "--sync", "-C", "2", "-t", "e/+"]);
    shell.prints(&["pub", "-q", "1", "-t", "e/b", "-m", "2"]);
    assert_eq!(ended(reader), "{\n  \"a\": 1\n}\nevent {\"b\":2}\n");
}

#[test]
fn versions_of_rows_are_printed() {
    let shell = Shell::new(3);
    let reader = shell.subscriber(&["sub", "-v", "--rows", "-C", "3", "-t", "v/+"]);
    assert_eq!(shell.prints(&["pub", "-v", "-r", "--put", "-t", "v/a", "-m", "1"]), "ok;ver=1\n");
    assert_eq!(shell.prints(&["pub", "-v", "-r", "--put", "-t", "v/a", "-m", "2"]), "ok;ver=2\n");
    shell.prints(&["pub", "-q", "1", "-t", "v/b", "-m", "event"]);
    assert_eq!(ended(reader), "v/a row;ver=1;prev=0 1\nv/a row;ver=2;prev=1 2\nv/b event\n");
    assert_eq!(shell.prints(&["sub", "--rows", "-C", "1", "-t", "v/+"]), "2\n");
    let output = shell.run(&["sub", "--rows", "-V", "mqttv311", "-t", "v/+"]);
    assert_eq!(output.status.code(), Some(1), "versions need MQTT 5");
}

#[test]
fn a_condition_holds_or_the_version_that_is_there_is_told() {
    let shell = Shell::new(3);
    let stale = |arguments: &[&str], text: &str| {
        let output = shell.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(error.starts_with("mote pub: publish refused: ") && error.contains(text), "{error}");
    };
    let put = |condition| ["pub", "-v", "-r", "--if", condition, "-t", "o/7", "-m", "x"];
    stale(&put("any"), "; there is no such object\n");
    assert_eq!(shell.prints(&put("0")), "ok;ver=1\n");
    stale(&put("0"), "; the version is 1\n");
    assert_eq!(shell.prints(&put("1")), "ok;ver=2\n");
    assert_eq!(shell.prints(&put("any")), "ok;ver=3\n");
    let tree = ["pub", "-v", "-r", "--tree", "--if", "2", "-t", "o/7", "-m", r#"{"name":"b"}"#];
    stale(&tree, "; the version is 3\n");
    stale(&["pub", "-V", "mqttv311", "-r", "--if", "2", "-t", "o/7", "-m", "x"], r#""version":3,"value":"x""#);
    stale(&["pub", "--if", "2", "-t", "o/7", "-m", "x"], "topic name invalid (0x90): ");
    let output = shell.prints(&["get", "--versions", "o/#"]);
    assert_eq!(
        output,
        "{\n  \"tree\": {\n    \"7\": \"x\"\n  },\n  \"versions\": {\n    \"#\": 3,\n    \"7\": 3\n  }\n}\n"
    );
}

#[test]
fn a_publish_with_a_key_is_applied_once() {
    let shell = Shell::new(3);
    let put = |key, text| ["pub", "-v", "-r", "--id", key, "-t", "once/a", "-m", text];
    for _ in 0..2 {
        assert_eq!(shell.prints(&put("k", "1")), "ok;ver=1\n");
    }
    let output = shell.run(&put("k", "2"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.ends_with("; id-reused\n"), "{error}");
    assert_eq!(shell.prints(&put("other", "2")), "ok;ver=2\n");
    for _ in 0..2 {
        assert_eq!(shell.prints(&["set", "-v", "--id", "k", "once/*", "3"]), "ok;ver=3\n");
    }
}

#[test]
fn many_rows_are_set_and_replaced_at_once() {
    let shell = Shell::new(3);
    let tree = r#"{"a":{"on":1,"level":3},"b":{"on":0}}"#;
    shell.prints(&["pub", "-r", "-q", "1", "--tree", "-t", "s", "-m", tree]);
    for version in ["mqttv5", "mqttv311"] {
        assert_eq!(shell.prints(&["set", "-V", version, "s/+/on", "off"]), "");
        assert_eq!(shell.prints(&["get", "s/*/on"]), "{\n  \"a\": \"off\",\n  \"b\": \"off\"\n}\n");
        shell.prints(&["set", "s/*/on", "-1"]);
    }
    assert_eq!(shell.prints(&["set", "-v", "s/+/on", "2"]), "ok;ver=6\n");
    shell.prints(&["pub", "-r", "--tree", "--replace", "-t", "s", "-m", r#"{"c":{"on":5}}"#]);
    assert_eq!(shell.prints(&["get", "s/#"]), "{\n  \"c\": {\n    \"on\": 5\n  }\n}\n");
    shell.prints(&["set", "s/#", ""]);
    assert_eq!(shell.prints(&["get", "s/#"]), "{}\n");
}

#[test]
fn a_reader_goes_on_from_a_cursor() {
    let shell = Shell::new(1); // the snapshot of all groups is one frame
    for (topic, text) in [("c/a", "1"), ("c/b", "2"), ("d/a", "3")] {
        shell.prints(&["pub", "-r", "-q", "1", "-t", topic, "-m", text]);
    }
    for (filter, want) in [("c/+", "{\"a\":null}"), ("#", "{\"c\":{\"a\":null}}")] {
        let line = shell.prints(&["sub", "-v", "--sync", "-C", "1", "-t", filter]);
        let cursor = line.split(&[' ', ';']).find_map(|word| word.strip_prefix("ver=")).expect("a cursor").to_owned();
        shell.prints(&["pub", "-r", "-q", "1", "-n", "-t", "c/a"]);
        for version in ["mqttv5", "mqttv311"] {
            let line =
                shell.prints(&["sub", "-V", version, "-v", "--sync", "--since", &cursor, "-C", "1", "-t", filter]);
            assert!(line.ends_with(&format!(" {want}\n")), "{line}");
        }
        shell.prints(&["pub", "-r", "-q", "1", "-t", "c/a", "-m", "1"]);
    }
}

#[test]
fn what_the_programs_say_of_themselves_is_as_it_was_written() {
    let mut said = String::new();
    let commands = ["", "sub", "pub", "get", "set", "shards"];
    for command in commands.map(|command| [command, "--help"]) {
        let command = &command[usize::from(command[0].is_empty())..];
        let output = Command::new(env!("CARGO_BIN_EXE_mote")).args(command).output().unwrap();
        assert!(output.status.success());
        said.push_str(&format!("$ mote {}\n", command.join(" ")));
        said.push_str(&String::from_utf8(output.stdout).unwrap());
        said.push('\n');
    }
    let written = include_str!("help.txt");
    assert!(said == written, "help.txt is to be:\n{said}");
}
