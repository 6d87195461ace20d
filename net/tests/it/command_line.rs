//! Exit codes and messages of the binary, as far as they need no broker.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Output};

fn mote(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mote")).args(arguments).output().unwrap()
}

/// Exit code and stderr.
fn refused(arguments: &[&str]) -> (i32, String) {
    let output = mote(arguments);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn the_printed_default_is_a_valid_configuration() {
    let listing = mote(&["config", "default"]);
    assert!(listing.status.success());
    let path = file("default.toml", &String::from_utf8(listing.stdout).unwrap());
    assert!(mote(&["config", "check", path.to_str().unwrap()]).status.success());
}

#[test]
fn a_bad_configuration_ends_with_3_and_names_the_place() {
    let path = file("bad.toml", "[limits]\ntree_row = 5\n");
    let (code, text) = refused(&["config", "check", path.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(
        text.ends_with("bad.toml:2:1: unknown key `limits.tree_row`, did you mean `limits.tree_rows`?\n"),
        "{text}"
    );
    let (code, same) = refused(&["serve", "-c", path.to_str().unwrap()]);
    assert_eq!((code, same), (3, text));
    assert_eq!(refused(&["serve", "--set", "limits.tree_rows=none"]).0, 3);
    assert_eq!(refused(&["config", "check", "/nonexistent"]).0, 3);
}

#[test]
fn a_command_line_that_is_wrong_ends_with_2() {
    for arguments in [
        &["serve", "--listen", "nowhere"][..],
        &["serve", "--shards", "0"],
        &["serve", "--memory", "--data", "x"],
        &["pub", "-t", "a"],
        &["sub"],
        &["sub", "-t", "a", "-q", "3"],
        &["sub", "-t", "a", "--since", "x"],
        &["sub", "-t", "a", "--sync", "--since", "x/y"],
        &["sub", "-t", "a", "-t", "b", "--sync", "--since", "x"],
        &["sub", "-t", "a", "--rows", "--versions"],
        &["pub", "-t", "a", "-n", "--replace"],
        &["pub", "-t", "a", "-n", "--tree", "--put"],
        &["pub", "-t", "a", "-n", "--if", "-1"],
        &["pub", "-t", "a", "-n", "--if", "some"],
        &["pub", "-t", "a", "-n", "--id", "x;y"],
        &["get"],
        &["set", "a"],
        &["nonsense"],
    ] {
        assert_eq!(refused(arguments).0, 2, "{arguments:?}");
    }
    assert_eq!(refused(&["pub", "-t", &"x".repeat(65_536), "-m", ""]).0, 2);
}

#[test]
fn clients_say_that_nobody_answers() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    for arguments in [
        &["sub", "-h", "127.0.0.1", "-p", &port, "-t", "a"][..],
        &["pub", "-h", "127.0.0.1", "-p", &port, "-t", "a", "-n"],
    ] {
        let (code, text) = refused(arguments);
        assert_eq!(code, 1);
        assert!(text.contains("cannot connect to 127.0.0.1:"), "{text}");
    }
}

#[test]
fn an_address_in_use_is_told_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (code, text) = refused(&["serve", "--memory", "--listen", &address]);
    assert_eq!(code, 1);
    assert!(text.contains(&format!("cannot listen on {address}: ")), "{text}");
    assert!(text.contains("choose another port with --listen"), "{text}");
}

#[test]
fn too_few_descriptors_are_told_before_anything_starts() {
    let mote = env!("CARGO_BIN_EXE_mote");
    let script = format!("ulimit -n 20; exec '{mote}' serve --memory --listen 127.0.0.1:0 --shards 4");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("may open 20 files; mote needs ") && text.contains("ulimit -n"), "{text}");
}
