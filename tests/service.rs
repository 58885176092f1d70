//! Running as a service: the file of ports, readiness, the service manager, transcripts and logs in
//! files, and the ends that nobody asks for. Also `config` and `check --json`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod program;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use program::{Client, PROGRAM, Servers, all_three, program};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// Starts the program and reads its stdout up to `mailconsole: ready`.
fn ready(mut command: Command) -> (Child, Vec<String>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let lines = stdout.lines().map(Result::unwrap);
    let lines = lines.take_while(|line| line != "mailconsole: ready").collect();
    (child, lines)
}

fn servers(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(all_three(dir)).args(arguments).stderr(Stdio::piped());
    command
}

fn end(child: &mut Child, signal: Signal) -> String {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
    ended(child)
}

/// Waits for a good end; what was on stderr.
fn ended(child: &mut Child) -> String {
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{stderr}");
    stderr
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn the_file_of_ports_is_there_when_the_servers_are_ready_and_gone_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ports.json");
    let option = format!("--ports-file={}", file.display());
    let mail = dir.path().join("mail");
    let tls = ["--smtps-port=0", "--profile=esmtp"];
    let mut command = servers(&mail, &[&[option.as_str()], &tls[..]].concat());
    command.env("XDG_DATA_HOME", dir.path());
    let (mut child, lines) = ready(command);
    let ports = json(&fs::read_to_string(&file).unwrap());
    assert_eq!(ports["pid"], child.id());
    assert_eq!((&ports["domain"], &ports["profile"]), (&"localhost".into(), &"esmtp".into()));
    for line in &lines {
        let (service, address) = line.split_once(": listening on ").unwrap();
        assert_eq!(ports["addresses"][service], serde_json::json!([address]));
        let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
        assert_eq!(ports["ports"][service], port);
    }
    assert_eq!(ports["ports"].as_object().unwrap().len(), 4);
    assert!(end(&mut child, Signal::SIGTERM).is_empty());
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_str().unwrap().starts_with("ports")), "{left:?}");
}

#[test]
fn a_file_of_ports_that_another_has_replaced_stays() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ports.json");
    let option = format!("--ports-file={}", file.display());
    let mut command = program();
    command.args(["echo", "-p", "0", &option]).stderr(Stdio::piped());
    let (mut child, _) = ready(command);
    fs::remove_file(&file).unwrap();
    fs::write(&file, "another's").unwrap();
    end(&mut child, Signal::SIGINT);
    assert_eq!(fs::read_to_string(&file).unwrap(), "another's");
    let missing = dir.path().join("no/such/ports.json");
    let option = format!("--ports-file={}", missing.display());
    let output = program().args(["echo", "-p", "0", &option]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ports.json") && said.contains("--ports-file"), "{said}");
}

#[test]
fn a_closed_stdout_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ports.json");
    let script = format!(
        "exec {PROGRAM} echo -p 0 --ports-file {} --exit-when-idle 50ms >&-",
        file.display()
    );
    let mut child =
        Command::new("sh").args(["-c", &script]).stderr(Stdio::piped()).spawn().unwrap();
    assert_eq!(ended(&mut child), "");
}

#[test]
fn the_service_manager_is_told_by_either_kind_of_socket() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let abstract_name = format!("mailconsole-test-{}", std::process::id());
    let of_file = UnixDatagram::bind(&path).unwrap();
    let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
    let of_name = UnixDatagram::bind_addr(&address).unwrap();
    let at_name = format!("@{abstract_name}");
    for (socket, name) in [(of_file, path.to_str().unwrap()), (of_name, &at_name)] {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = program();
        command.args(["echo", "-p", "0"]).env("NOTIFY_SOCKET", name).stderr(Stdio::piped());
        let (mut child, _) = ready(command);
        let told = || {
            let mut octets = [0; 64];
            let length = socket.recv(&mut octets).unwrap();
            String::from_utf8(octets[..length].to_vec()).unwrap()
        };
        assert_eq!(told(), "READY=1");
        assert_eq!(end(&mut child, Signal::SIGTERM), "");
        assert_eq!(told(), "STOPPING=1");
    }
}

fn greet(port: u16) {
    let mut client = Client::connect(port);
    client.line();
    client.says("HELO x", "250");
    client.says("QUIT", "221");
    client.rest();
}

#[test]
fn a_transcript_is_appended_to_a_file_with_stamps() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.log");
    fs::write(&file, "before\n").unwrap();
    let option = format!("--transcript={}", file.display());
    let servers = Servers::on(&dir.path().join("mail"), &[&option, "--stamps"]);
    greet(servers.port("smtp"));
    servers.signal(Signal::SIGINT);
    assert_eq!(servers.wait().1, "");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "before");
    let stamped = regex::Regex::new(
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z smtp #(\d+) \[\d+\] (C: |S: |New|Connection)",
    )
    .unwrap();
    for line in &lines[1..] {
        assert!(stamped.is_match(line), "{line}");
    }
    assert!(lines.iter().any(|line| line.ends_with("] C: HELO x")), "{text}");
}

#[test]
fn a_transcript_in_a_file_is_what_v_prints() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.log");
    let option = format!("--transcript={}", file.display());
    let servers = Servers::on(&dir.path().join("mail"), &[&option, "-v"]);
    greet(servers.port("smtp"));
    servers.signal(Signal::SIGINT);
    let (status, stderr) = servers.wait();
    assert!(status.success() && stderr.contains("] C: HELO x\n"), "{stderr}");
    assert_eq!(fs::read_to_string(&file).unwrap(), stderr);
    let option = format!("--transcript={}/no/t.log", dir.path().display());
    let output = program().args(["echo", "-p", "0", &option]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--transcript"));
}

#[test]
fn the_log_goes_to_a_file_from_the_level_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let logged = |arguments: &[&str], rust_log: &str| {
        let file = dir.path().join("m.log");
        let _ = fs::remove_file(&file);
        let option = format!("--log-file={}", file.display());
        let mut command = program();
        command.args(["echo", "-p", "0", &option]).args(arguments).env("RUST_LOG", rust_log);
        command.stderr(Stdio::piped());
        let (mut child, _) = ready(command);
        assert_eq!(end(&mut child, Signal::SIGTERM), "");
        fs::read_to_string(&file).unwrap()
    };
    let usual = logged(&[], "");
    assert!(usual.contains("INFO") && usual.contains("echo: listening on 127.0.0.1:"), "{usual}");
    assert_eq!(logged(&["--log-level", "error"], ""), "");
    assert_eq!(logged(&[], "error"), "");
    assert!(logged(&["--log-level", "debug"], "error").contains("listening"));
    let mut command = program();
    command.args(["echo", "-p", "0"]).env("RUST_LOG", "info").stderr(Stdio::piped());
    let (mut child, _) = ready(command);
    assert!(end(&mut child, Signal::SIGTERM).contains("listening"));
}

#[test]
fn servers_end_when_no_client_has_been_connected_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &["--exit-when-idle", "300ms"]);
    let mut client = Client::connect(servers.port("smtp"));
    client.line();
    // Longer than the limit, in which the client stays.
    client.stream().set_read_timeout(Some(Duration::from_millis(700))).unwrap();
    let mut octet = [0];
    let waited = (&mut client.stream()).read(&mut octet).unwrap_err();
    assert_eq!(waited.kind(), std::io::ErrorKind::WouldBlock);
    client.says("NOOP", "250");
    drop(client);
    let (status, stderr) = servers.wait();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_hang_up_that_was_ignored_at_the_start_stays_ignored() {
    let dir = tempfile::tempdir().unwrap();
    // As nohup starts it: what sh ignores is ignored in what it starts.
    let mut command = Command::new("sh");
    let arguments = all_three(dir.path()).join(" ");
    command.args(["-c", &format!("trap '' HUP; exec {PROGRAM} {arguments}")]);
    command.env("XDG_CONFIG_HOME", "/nonexistent").stderr(Stdio::piped());
    let (mut child, lines) = ready(command);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGHUP).unwrap();
    let smtp = lines.iter().find_map(|line| line.strip_prefix("smtp: listening on 127.0.0.1:"));
    greet(smtp.unwrap().parse().unwrap());
    end(&mut child, Signal::SIGTERM);
}

#[test]
fn all_addresses_of_ipv6_take_ipv4_too() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = program();
    command.args(["smtp", "-p", "0", "--bind", "::", "--user", "u", "-v", "--no-sync"]);
    command.arg(dir.path()).stderr(Stdio::piped());
    let (mut child, lines) = ready(command);
    let port: u16 = lines[0].rsplit_once(':').unwrap().1.parse().unwrap();
    for host in ["127.0.0.1", "::1"] {
        let stream = TcpStream::connect((host, port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.starts_with("220 "), "{host}: {line}");
    }
    let stderr = end(&mut child, Signal::SIGTERM);
    let warnings: Vec<&str> = stderr.lines().filter(|line| line.contains("warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{stderr}");
    assert!(warnings[0].contains("not synced (--no-sync)"), "{stderr}");
    assert!(warnings[1].contains("other machines that reach this machine can connect"));
    assert!(warnings[1].contains("password cis505 is public"), "{stderr}");
}

fn config(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    json(std::str::from_utf8(&output.stdout).unwrap())
}

#[test]
fn config_tells_each_setting_and_where_it_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    let text = "domain = \"example.org\"\nsmarthost-password = \"hush\"\n\nuser = [\"ada:hush\", \
                \"bob\"]\npop3-port = 7\nsmtp-port = 9\n";
    fs::write(&file, text).unwrap();
    let name = file.to_str().unwrap();
    let arguments = ["config", "--config", name, "--smtp-port", "2525", "--password", "open"];
    let mut command = program();
    command.args(arguments).arg("--json").env("MAILCONSOLE_POP3_PORT", "8");
    let all = config(&mut command);
    for (key, value, from) in [
        ("smtp-port", serde_json::json!(2525), "flag".to_owned()),
        ("pop3-port", 8.into(), "MAILCONSOLE_POP3_PORT".to_owned()),
        ("domain", "example.org".into(), format!("{name}:1")),
        ("smarthost-password", "******".into(), format!("{name}:2")),
        ("user", serde_json::json!(["ada:******", "bob"]), format!("{name}:4")),
        ("password", "open".into(), "flag".to_owned()),
        ("echo-port", 10_000.into(), "default".to_owned()),
        ("no-sync", false.into(), "default".to_owned()),
        ("max-message", "64M".into(), "default".to_owned()),
        ("smarthost", Value::Null, "default".to_owned()),
    ] {
        assert_eq!(all[key], serde_json::json!({"value": value, "from": from}), "{key}");
    }
    let output = program().args(arguments).output().unwrap();
    let words = String::from_utf8(output.stdout).unwrap();
    let line = words.lines().find(|line| line.starts_with("smtp-port = 2525 ")).unwrap();
    assert!(line.ends_with("# flag"), "{line}");
    // What it prints is a config file again.
    fs::write(&file, &words).unwrap();
    assert!(program().args(["config", "--config", name]).output().unwrap().status.success());
    assert!(!words.contains("hush"));
}

#[test]
fn the_sample_has_each_key_once_and_is_read_without_its_comment_signs() {
    let dir = tempfile::tempdir().unwrap();
    let sample = program().args(["config", "--sample"]).output().unwrap().stdout;
    let sample = String::from_utf8(sample).unwrap();
    let keys: Vec<&str> = sample
        .lines()
        .filter(|line| !line.starts_with("##"))
        .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "))
        .map(|(key, _)| key)
        .collect();
    let rows = mailconsole::console::setting::table::ROWS;
    let wanted: Vec<&str> =
        rows.iter().filter(|row| row.places.has_file()).map(|row| row.name).collect();
    let sorted = |mut keys: Vec<&'static str>| {
        keys.sort_unstable();
        keys
    };
    let keys: Vec<&'static str> =
        keys.iter().map(|key| wanted.iter().copied().find(|one| one == key).unwrap()).collect();
    assert_eq!(sorted(keys), sorted(wanted));
    let file = dir.path().join("c.toml");
    let uncommented: Vec<&str> =
        sample.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    fs::write(&file, uncommented.join("\n")).unwrap();
    let mut command = program();
    let all = config(command.args(["config", "--json", "--config", file.to_str().unwrap()]));
    for (key, one) in all.as_object().unwrap() {
        let from = one["from"].as_str().unwrap();
        assert!(key == "config" || from.contains("c.toml:"), "{key}: {from}");
    }
}

#[test]
fn check_tells_its_steps_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::on(dir.path(), &[]);
    let check = |service: &str, port: u16| {
        let output = program()
            .args(["check", service, &port.to_string(), "--json", "--host", "127.0.0.1"])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.lines().count(), 1);
        (output.status.code(), json(&text))
    };
    let (status, right) = check("smtp", servers.port("smtp"));
    assert_eq!(status, Some(0));
    assert_eq!(
        (&right["v"], &right["ok"], &right["service"]),
        (&1.into(), &true.into(), &"smtp".into())
    );
    let steps = right["steps"].as_array().unwrap();
    assert!(steps.len() > 5 && steps.iter().all(|step| step["ok"] == true), "{right}");
    assert_eq!(steps[0]["sent"], Value::Null);
    assert_eq!(steps[1]["sent"], "HELO tester");
    assert_eq!(steps[1]["reply"], "250 localhost");
    let (status, wrong) = check("smtp", servers.port("echo"));
    assert_eq!((status, &wrong["ok"]), (Some(1), &false.into()));
    let (status, nobody) = check("pop3", 1);
    assert_eq!(status, Some(3));
    assert_eq!(nobody, serde_json::json!({"v": 1, "ok": false, "service": "pop3", "steps": []}));
    servers.signal(Signal::SIGINT);
    servers.wait();
}
