//! `--fault` and its neighbours, `mailconsole fault`, the request `fault` of the control socket, and
//! what `assert`, `status`, `events` and `exec` say of faults. By the real program. What faults do to a
//! conversation is tested elsewhere.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::program::{Client, PROGRAM, Servers, all_three, program};

fn text(octets: &[u8]) -> String {
    String::from_utf8(octets.to_vec()).unwrap()
}

#[track_caller]
fn ends_with(output: &Output, status: i32) -> (String, String) {
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
    (stdout, stderr)
}

/// Runs `mailconsole fault DIR …`.
#[track_caller]
fn fault(dir: &Path, arguments: &[&str], status: i32) -> (String, String) {
    ends_with(&program().arg("fault").arg(dir).args(arguments).output().unwrap(), status)
}

fn listed(dir: &Path) -> Value {
    let (stdout, _) = fault(dir, &["list", "--json"], 0);
    assert_eq!(stdout.lines().count(), 1);
    serde_json::from_str(&stdout).unwrap()
}

/// The numbers and texts of the rules.
fn rules(dir: &Path) -> Vec<(u64, String)> {
    let listed = listed(dir);
    let rule = |rule: &Value| (rule["id"].as_u64().unwrap(), rule["rule"].as_str().unwrap().into());
    listed["rules"].as_array().unwrap().iter().map(rule).collect()
}

/// What `assert` prints, and its status.
fn hits(dir: &Path, condition: &str) -> (String, i32) {
    let output = program().arg("assert").arg(dir).arg(condition).output().unwrap();
    (text(&output.stdout), output.status.code().unwrap())
}

const WRONG: &str = "there is no point smtp.rcp\n  smtp.rcp : 451 later\n  ^ connect helo ehlo mail \
                     rcpt data text dot rset noop quit vrfy auth starttls other any\n";

#[test]
fn a_rule_that_cannot_be_read_is_explained_and_nothing_starts() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("mail");
    let wrong = "smtp.rcp : 451 later";
    let (ports, log) = (place.path().join("ports"), place.path().join("log"));
    for mut command in [program(), program(), program()] {
        command.args(all_three(&dir)).args(["--fault", wrong]);
        command.arg("--ports-file").arg(&ports).arg("--log-file").arg(&log);
        let (stdout, stderr) = ends_with(&command.output().unwrap(), 2);
        assert_eq!((stdout.as_str(), stderr), ("", format!("mailconsole: --fault: {WRONG}")));
    }
    for command in [&["smtp", "mail"][..], &["pop3", "mail"], &["echo"], &["exec", "--", "true"]] {
        let mut alone = program();
        alone.arg(command[0]).args(["--fault", wrong]).args(&command[1..]);
        let (_, stderr) = ends_with(&alone.current_dir(&place).output().unwrap(), 2);
        assert_eq!(stderr, format!("mailconsole: --fault: {WRONG}"), "{command:?}");
    }
    let mut by_variable = program();
    by_variable.args(all_three(&dir)).env("MAILCONSOLE_FAULT", format!("smtp.rcpt : cut\n{wrong}"));
    let (_, stderr) = ends_with(&by_variable.output().unwrap(), 2);
    assert_eq!(stderr, format!("mailconsole: MAILCONSOLE_FAULT: {WRONG}"));
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
}

#[test]
fn a_rule_in_the_config_file_is_explained_with_its_line() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("config.toml");
    let rules = "idle = 60\nfault = [\n  \"greylist\",\n  \"smtp.rcp : 451 later\",\n]\n";
    fs::write(&file, rules).unwrap();
    let mut command = program();
    command.args(all_three(&place.path().join("mail"))).arg("--config").arg(&file);
    let (_, stderr) = ends_with(&command.output().unwrap(), 2);
    assert_eq!(stderr, format!("mailconsole: {}:4: {WRONG}", file.display()));
    fs::write(&file, "fault = \"greylist\"\n").unwrap();
    let (_, stderr) = ends_with(&command.output().unwrap(), 2);
    assert!(stderr.contains("line 1: fault wants a list"), "{stderr}");
}

#[test]
fn rules_come_from_options_and_config_file_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, "fault = [\"echo.line : cut # a, b\", \"cut-retr\"]\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let servers = Servers::on(dir.path(), &config);
    let two = [(1, "echo.line : cut".to_owned()), (2, "pop3.retr n=2 : cut after 60".to_owned())];
    assert_eq!(rules(dir.path()), two);
    assert_eq!(listed(dir.path())["rules"][1]["scenario"], "cut-retr");
    drop(servers);
    // As for other lists, the command line stands for that of the file. A comma is part of a rule.
    let own = ["--fault", "smtp.mail : 451 no, later", "--fault", "smtp.rcpt : mute"];
    let _servers = Servers::on(dir.path(), &[&config[..], &own].concat());
    let two = [(1, "smtp.mail : 451 no, later".to_owned()), (2, "smtp.rcpt : mute".to_owned())];
    assert_eq!(rules(dir.path()), two);
}

#[test]
fn rules_of_servers_that_run_are_listed_added_switched_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let _servers = Servers::on(dir.path(), &["--fault", "smtp.rcpt : 451 later times 3"]);
    let dir = dir.path();
    let seed = listed(dir)["seed"].clone();
    let expected = json!({"v": 1, "seed": seed, "rules": [{
        "id": 1, "rule": "smtp.rcpt : 451 later times 3", "scenario": null, "on": true, "hits": 0,
        "left": 3, "last_hit": null,
    }]});
    assert_eq!(listed(dir), expected);
    assert_eq!(fault(dir, &["add", "pop3.retr : cut"], 0).0, "2\n");
    assert_eq!(fault(dir, &["add", "no-service"], 0).0, "3\n4\n5\n");
    assert_eq!(listed(dir)["rules"][2]["scenario"], "no-service");
    fault(dir, &["remove", "2"], 0);
    // Numbers never come again.
    assert_eq!(fault(dir, &["add", "pop3.retr : cut"], 0).0, "6\n");
    let is_on = |nth: usize| listed(dir)["rules"][nth]["on"] == true;
    fault(dir, &["off", "1"], 0);
    assert!(!is_on(0) && is_on(1));
    fault(dir, &["off", "all"], 0);
    assert!(!is_on(1));
    fault(dir, &["on", "all"], 0);
    assert!(is_on(0) && is_on(1));
    fault(dir, &["reset"], 0);
    fault(dir, &["reset", "1"], 0);
    for order in ["remove", "on", "off", "reset"] {
        let (stdout, stderr) = fault(dir, &[order, "99"], 1);
        assert!(stdout.is_empty() && stderr.contains("99"), "{order}: {stderr}");
    }
    let (words, _) = fault(dir, &["list"], 0);
    assert_eq!(words.lines().count(), 6, "{words}");
    assert!(words.contains("smtp.rcpt : 451 later times 3") && words.contains("# no-service"));
    fault(dir, &["remove", "all"], 0);
    assert_eq!(rules(dir), []);
    assert_eq!(fault(dir, &["list"], 0).0, "no rules\n");
    fault(dir, &["remove", "all"], 0);
}

#[test]
fn orders_and_rules_that_cannot_be_read_are_wrong_use() {
    let dir = tempfile::tempdir().unwrap();
    let _servers = Servers::on(dir.path(), &[]);
    let (_, stderr) = fault(dir.path(), &["add", "smtp.rcp : 451 later"], 2);
    assert_eq!(stderr, format!("mailconsole: {WRONG}"));
    for (arguments, words) in [
        (&["lsit"][..], "did you mean list?"),
        (&["remove"], "which rule?"),
        (&["remove", "one"], "\"one\" is no ID"),
        (&["remove", "-1"], "-1"),
        (&["remove", "1", "2"], "no meaning"),
        (&["list", "1"], "no meaning"),
        (&["add"], "which rule?"),
        (&[], "list, add, remove, on, off, reset"),
    ] {
        let (stdout, stderr) = fault(dir.path(), arguments, 2);
        assert!(stdout.is_empty() && stderr.contains(words), "{arguments:?}: {stderr}");
    }
    assert_eq!(rules(dir.path()), []);
}

#[test]
fn without_a_server_or_a_directory_nothing_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["list"][..], &["list", "--json"], &["add", "smtp.rcpt : cut"], &["reset"]] {
        let (stdout, stderr) = fault(dir.path(), arguments, 3);
        assert!(stdout.is_empty() && stderr.contains("no server runs on"), "{stderr}");
        fault(&dir.path().join("missing"), arguments, 3);
    }
    let (_, status) = hits(dir.path(), "fault greylist hits >= 1");
    assert_eq!(status, 3);
}

#[test]
fn every_server_on_a_directory_gets_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let _one = Servers::on(dir.path(), &["--fault", "echo.line : cut"]);
    let _other = Servers::on(dir.path(), &[]);
    let (ids, _) = fault(dir.path(), &["add", "smtp.rcpt : mute"], 0);
    let mut ids: Vec<&str> = ids.lines().collect();
    ids.sort_unstable();
    assert_eq!(ids, ["1", "2"]);
    let (json, _) = fault(dir.path(), &["list", "--json"], 0);
    assert_eq!(json.lines().count(), 2);
    // It is done if one of them has the rule.
    fault(dir.path(), &["remove", "2"], 0);
    fault(dir.path(), &["remove", "2"], 1);
}

#[test]
fn commands_of_exec_find_their_servers() {
    let script =
        "\"$MAILCONSOLE\" fault add 'smtp.rcpt : 451 later' && \"$MAILCONSOLE\" fault list --json";
    let mut exec = program();
    exec.env("MAILCONSOLE", PROGRAM).args(["exec", "--fault", "smtp.vrfy : cut", "--"]);
    let (stdout, _) = ends_with(&exec.args(["sh", "-c", script]).output().unwrap(), 0);
    let (id, list) = stdout.split_once('\n').unwrap();
    let list: Value = serde_json::from_str(list).unwrap();
    assert_eq!((id, &list["rules"][1]["rule"]), ("2", &json!("smtp.rcpt : 451 later")));
}

#[test]
fn the_seed_is_told_where_it_matters() {
    let told = |arguments: &[&str]| {
        let mut exec = program();
        exec.arg("exec").args(arguments).args(["--", "true"]);
        let (_, stderr) = ends_with(&exec.output().unwrap(), 0);
        stderr.lines().find_map(|line| line.strip_prefix("fault seed: ").map(str::to_owned))
    };
    assert_eq!(told(&[]), None);
    assert_eq!(told(&["--fault", "smtp.rcpt : 451 \"by chance 5%\" once"]), None);
    assert_eq!(told(&["--fault-seed", "42"]), Some("42".to_owned()));
    let drawn = told(&["--fault", "smtp.rcpt : 451 later chance 5%"]).unwrap();
    drawn.parse::<u64>().unwrap();
    let both = ["--fault", "smtp.rcpt : 451 later chance 5%", "--fault-seed", "7"];
    assert_eq!(told(&both), Some("7".to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["--fault-seed", "18446744073709551615"]);
    assert_eq!(listed(dir.path())["seed"], u64::MAX);
    servers.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(servers.wait().1.lines().any(|line| line == "fault seed: 18446744073709551615"));
}

#[test]
fn other_machines_are_warned_of_once() {
    let warnings = |arguments: &[&str]| {
        let mut exec = program();
        exec.arg("exec").args(arguments).args(["--", "true"]);
        let (_, stderr) = ends_with(&exec.output().unwrap(), 0);
        stderr.lines().filter(|line| line.contains("faults")).count()
    };
    assert_eq!(warnings(&["--bind", "0.0.0.0"]), 0);
    assert_eq!(warnings(&["--fault", "greylist"]), 0);
    assert_eq!(warnings(&["--fault", "greylist", "--fault", "lie", "--bind", "0.0.0.0"]), 1);
    assert_eq!(warnings(&["--fault-addresses", "--bind", "0.0.0.0"]), 1);
}

#[test]
fn the_catalogue_is_printed_without_a_server() {
    let print = |arguments: &[&str]| {
        let output = program().args(["fault", "--catalogue"]).args(arguments).output().unwrap();
        ends_with(&output, 0).0
    };
    let all: Value = serde_json::from_str(&print(&["--json"])).unwrap();
    let all = all.as_array().unwrap();
    let of = |name: &str| all.iter().find(|one| one["name"] == name).unwrap();
    let greylist = of("greylist");
    assert_eq!(greylist["protocol"], "smtp");
    assert_eq!(greylist["paragraph"], "5321 4.5.4.1; 6647");
    assert_eq!(greylist["verdict"], "judged");
    assert_eq!(of("lie")["verdict"], "info");
    assert_eq!(of("no-service")["rules"].as_array().unwrap().len(), 3);
    assert_eq!(of("cut-retr")["rules"], json!(["pop3.retr n=2 : cut after 60"]));
    let mut fields: Vec<&String> = greylist.as_object().unwrap().keys().collect();
    fields.sort();
    assert_eq!(fields, ["good", "name", "paragraph", "protocol", "rules", "verdict"]);
    let words = print(&[]);
    for one in all {
        let name = one["name"].as_str().unwrap();
        assert!(words.lines().any(|line| line.split(' ').next() == Some(name)), "{name}");
        for rule in one["rules"].as_array().unwrap() {
            assert!(words.contains(rule.as_str().unwrap()), "{rule}");
        }
    }
}

/// The rules of the page: each indented line behind the mark.
fn recipes() -> Vec<Vec<String>> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let page = fs::read_to_string(page).unwrap();
    let parts = page.split("<!-- rules: read by tests/fault_command.rs -->").skip(1);
    let rules = parts.map(|part| {
        let lines = part.lines().skip_while(|line| line.is_empty());
        let lines = lines.take_while(|line| line.starts_with("    "));
        lines.map(|line| line.trim().to_owned()).collect()
    });
    rules.collect()
}

#[test]
fn every_recipe_of_the_page_is_a_rule() {
    let recipes = recipes();
    assert!(recipes.len() >= 12 && recipes.iter().all(|rules| !rules.is_empty()), "{recipes:?}");
    let dir = tempfile::tempdir().unwrap();
    let _servers = Servers::on(dir.path(), &[]);
    for rule in recipes.iter().flatten() {
        fault(dir.path(), &["add", rule], 0);
    }
    assert_eq!(rules(dir.path()).len(), recipes.iter().flatten().count());
}

/// A session of SMTP that has said MAIL.
fn at_rcpt(servers: &Servers) -> Client {
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    client.says("MAIL FROM:<a@b>", "250");
    client
}

#[test]
fn hits_are_counted_listed_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let rule = "smtp.rcpt to=linhphan@* : 451 4.7.1 later times 3";
    let servers = Servers::on(dir.path(), &["--fault", rule, "--fault", "cut-retr", "-v"]);
    let dir = dir.path();
    assert_eq!(hits(dir, "fault smtp.rcpt hits == 0"), ("0\n".into(), 0));
    at_rcpt(&servers).says("RCPT TO:<linhphan@localhost>", "451 4.7.1 later");
    for name in ["1", "smtp.rcpt"] {
        assert_eq!(hits(dir, &format!("fault {name} hits >= 1")), ("1\n".into(), 0), "{name}");
    }
    assert_eq!(hits(dir, "fault cut-retr hits"), ("0\n".into(), 1));
    let listed = listed(dir);
    let one = &listed["rules"][0];
    assert_eq!((&one["hits"], &one["left"]), (&json!(1), &json!(2)));
    let at = one["last_hit"].as_str().unwrap();
    assert!(at.len() == "2026-11-28T17:49:01.123456Z".len() && at.ends_with('Z'), "{at}");
    let status = program().arg("status").arg(dir).arg("--json").output().unwrap();
    let status: Value = serde_json::from_str(&text(&status.stdout)).unwrap();
    assert_eq!(status["servers"][0]["counters"]["faults"], 1);
    let events = program().arg("events").arg(dir).arg("--json").output().unwrap();
    let events = text(&events.stdout);
    let event = events.lines().find(|line| line.contains("\"event\":\"fault\"")).unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!((&event["id"], &event["rule"]), (&json!(1), &json!(rule)));
    assert_eq!(event["text"], "1: smtp.rcpt to=linhphan@* (1 of 3)");
    fault(dir, &["reset", "1"], 0);
    assert_eq!(hits(dir, "fault 1 hits == 0"), ("0\n".into(), 0));
}

#[test]
fn a_rule_that_is_added_removed_or_switched_acts_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let dir = dir.path();
    let mut client = at_rcpt(&servers);
    let mut rcpt = |reply| client.says("RCPT TO:<linhphan@localhost>", reply);
    rcpt("250");
    fault(dir, &["add", "smtp.rcpt : 451 later"], 0);
    rcpt("451 later");
    fault(dir, &["off", "1"], 0);
    rcpt("250");
    fault(dir, &["on", "1"], 0);
    rcpt("451 later");
    fault(dir, &["remove", "1"], 0);
    rcpt("250");
}

#[test]
fn exec_says_how_many_faults_were_hit() {
    let mut exec = program();
    exec.env("MAILCONSOLE", PROGRAM);
    exec.args(["exec", "--user", "bob", "--fault", "smtp.rcpt : 550 no", "--", "sh", "-c"]);
    exec.arg("\"$MAILCONSOLE\" send --to bob@localhost --body x");
    let (_, stderr) = ends_with(&exec.output().unwrap(), 1);
    assert!(stderr.ends_with(", 1 fault hit\n"), "{stderr}");
}

/// Servers that play the recipe of the page that has this rule.
fn playing(dir: &Path, rule: &str) -> Servers {
    let recipes = recipes();
    let recipe = recipes.iter().find(|rules| rules.iter().any(|one| one == rule)).unwrap();
    let options: Vec<&str> = recipe.iter().flat_map(|rule| ["--fault", rule]).collect();
    Servers::on(dir, &options)
}

fn stored(dir: &Path) -> String {
    let output = program().arg("messages").arg(dir).output().unwrap();
    ends_with(&output, 0).0
}

#[test]
fn a_reply_is_lost_after_the_message_was_stored_but_once() {
    let dir = tempfile::tempdir().unwrap();
    let servers = playing(dir.path(), "smtp.dot after : cut once");
    let mut client = servers.connect("smtp");
    client.begin_message();
    client.send(".\r\n");
    assert_eq!(client.rest(), "");
    assert_eq!(stored(dir.path()).lines().count(), 1);
    let mut client = servers.connect("smtp");
    client.begin_message();
    client.says(".", "250");
    assert_eq!(stored(dir.path()).lines().count(), 2);
}

#[test]
fn greylisting_refuses_each_recipient_first() {
    let dir = tempfile::tempdir().unwrap();
    let rule = "smtp.rcpt : 451 4.7.1 greylisted, try again in a minute per to until 60s";
    let servers = playing(dir.path(), rule);
    let mut client = at_rcpt(&servers);
    for _ in 0..2 {
        client.says("RCPT TO:<linhphan@localhost>", "451 4.7.1 greylisted, try again in a minute");
    }
    assert_eq!(listed(dir.path())["rules"][0]["keys"], 1);
    assert_eq!(listed(dir.path())["rules"][0]["left"], Value::Null);
}

#[test]
fn one_recipient_is_refused_and_a_mailbox_is_full_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let servers = playing(dir.path(), "smtp.rcpt to=eve@* : 550 5.1.1 no such user here");
    let mut client = at_rcpt(&servers);
    client.says("RCPT TO:<Eve@localhost>", "550 5.1.1 no such user here");
    client.says("RCPT TO:<linhphan@localhost>", "250");
    drop(servers);
    let servers = playing(dir.path(), "smtp.dot : 452 4.2.2 mailbox full times 3");
    for reply in ["452 4.2.2", "452 4.2.2", "452 4.2.2", "250"] {
        let mut client = servers.connect("smtp");
        client.begin_message();
        client.says(".", reply);
    }
    assert_eq!(stored(dir.path()).lines().count(), 1);
}

#[test]
fn retr_is_cut_and_a_maildrop_is_in_use_twice() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let mut client = servers.connect("smtp");
    client.says("HELO x", "250");
    for _ in 0..2 {
        client
            .deliver(&["linhphan"], "Subject: a long line of text\r\n\r\nand some more of it\r\n");
    }
    drop(servers);
    let servers = playing(dir.path(), "pop3.retr n=2 : cut after 60 once");
    let mut client = servers.connect("pop3");
    client.log_in("linhphan");
    client.message(1);
    client.send("RETR 2\r\n");
    assert_eq!(client.rest().len(), 60);
    drop(servers);
    let servers = playing(dir.path(), "pop3.pass : -ERR [IN-USE] locked times 2");
    let mut client = servers.connect("pop3");
    for reply in ["-ERR [IN-USE] locked", "-ERR [IN-USE] locked", "+OK"] {
        let answered = client.log_in("linhphan");
        assert!(answered.starts_with(reply), "{answered}");
    }
}

#[test]
fn what_is_offered_is_not_done_and_lines_of_echo_are_lost() {
    let dir = tempfile::tempdir().unwrap();
    let servers = playing(dir.path(), "smtp.other : 502 5.5.1 not implemented");
    let mut client = servers.connect("smtp");
    client.says("EHLO x", "250-localhost");
    assert_eq!([client.line(), client.line()], ["250-PIPELINING", "250 X-NOTHING"]);
    client.says("X-NOTHING", "502 5.5.1 not implemented");
    client.says("MAIL FROM:<a@b>", "250");
    drop(servers);
    let servers = playing(dir.path(), "echo.line nth=2+ : mute once");
    let mut client = servers.connect("echo");
    client.says("ECHO one", "+OK one");
    client.send("ECHO two\r\n");
    client.says("ECHO three", "+OK three");
}

#[test]
fn an_address_that_asks_for_a_fault_is_listed_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["--fault-addresses"]);
    let dir = dir.path();
    let address = "linhphan+fault.rcpt.451.once@localhost";
    let mut client = at_rcpt(&servers);
    client.says(&format!("RCPT TO:<{address}>"), &format!("451 fault {address}"));
    client.says(&format!("RCPT TO:<{address}>"), "250");
    let rule = listed(dir)["rules"][0].clone();
    assert_eq!((&rule["id"], &rule["rule"]), (&Value::Null, &json!(address)));
    assert_eq!((&rule["hits"], &rule["left"]), (&json!(1), &json!(0)));
    assert_eq!(hits(dir, &format!("fault {address} hits == 1")), ("1\n".into(), 0));
    let events = program().arg("events").arg(dir).arg("--json").output().unwrap();
    let events = text(&events.stdout);
    let event = events.lines().find(|line| line.contains("\"event\":\"fault\"")).unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!((&event["id"], &event["rule"]), (&Value::Null, &json!(address)));
}
