//! Where programs of this machine keep the certificates that they trust, and the commands that add
//! ours or take it away. Runs nothing but a look into the browsers' databases.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What commands there must be, and for whom they run.
#[derive(Debug)]
pub struct Machine {
    /// The root of the file system.
    pub root: PathBuf,
    /// The user's home directory, if there is one.
    pub home: Option<PathBuf>,
    /// Whether the user may change the system.
    pub is_root: bool,
    /// Where programs are looked for: the directories of `PATH`.
    pub programs: Vec<PathBuf>,
}

/// Commands to run, and what else the user should know: sentences.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The commands, each with its arguments.
    pub commands: Vec<Vec<OsString>>,
    /// What cannot be done, with the remedy.
    pub remarks: Vec<String>,
}

/// The certificate store of a family of systems.
struct SystemStore {
    /// Where certificates of the administrator's are.
    directory: &'static str,
    /// How their names end.
    extension: &'static str,
    /// What makes the system take notice.
    update: &'static [&'static str],
}

/// Debian and Alpine; Fedora and RHEL; Arch; openSUSE.
const SYSTEM_STORES: [SystemStore; 4] = [
    SystemStore {
        directory: "usr/local/share/ca-certificates",
        extension: "crt",
        update: &["update-ca-certificates"],
    },
    SystemStore {
        directory: "etc/pki/ca-trust/source/anchors",
        extension: "pem",
        update: &["update-ca-trust"],
    },
    SystemStore {
        directory: "etc/ca-certificates/trust-source/anchors",
        extension: "crt",
        update: &["trust", "extract-compat"],
    },
    SystemStore {
        directory: "usr/share/pki/trust/anchors",
        extension: "pem",
        update: &["update-ca-certificates"],
    },
];

/// Where Firefox and Thunderbird keep their profiles, as packages of the system, as snaps and as
/// flatpaks.
const PROFILES: [&str; 7] = [
    ".mozilla/firefox",
    ".thunderbird",
    "snap/firefox/common/.mozilla/firefox",
    "snap/thunderbird/common/.thunderbird",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
    ".var/app/org.mozilla.Thunderbird/.thunderbird",
    ".config/mozilla/firefox",
];

/// The commands that make this machine trust the authority `name`, whose certificate is in a file.
#[must_use]
pub fn install(machine: &Machine, name: &str, certificate: &Path) -> Plan {
    let mut plan = Plan::default();
    match machine.system_store() {
        Some(store) => {
            let target = machine.root.join(store.directory).join(store.file(name));
            let (source, target) = (certificate.as_os_str(), target.as_os_str());
            plan.commands
                .push(machine.as_root(&words(["install", "-m", "0644"], &[source, target])));
            plan.commands.push(machine.as_root(&words(store.update.iter().copied(), &[])));
        }
        None => plan.remarks.push(
            "this system has no certificate store that is known here: use mailconsole ca env, or \
             install the package ca-certificates"
                .to_owned(),
        ),
    }
    for profile in machine.profiles(&mut plan.remarks) {
        let trusted = ["-n", name, "-t", "C,,", "-i"];
        let certutil = words(["certutil", "-A", "-d"], &[&database(&profile)]);
        plan.commands.push([certutil, words(trusted, &[certificate.as_os_str()])].concat());
    }
    plan
}

/// The commands that undo [`install`], where it was done.
#[must_use]
pub fn uninstall(machine: &Machine, name: &str) -> Plan {
    let mut plan = Plan::default();
    for store in &SYSTEM_STORES {
        let target = machine.root.join(store.directory).join(store.file(name));
        if target.exists() {
            plan.commands.push(machine.as_root(&words(["rm"], &[target.as_os_str()])));
            plan.commands.push(machine.as_root(&words(store.update.iter().copied(), &[])));
        }
    }
    let profiles = machine.profiles(&mut plan.remarks);
    for profile in profiles.iter().filter(|profile| machine.knows(profile, name)) {
        let certutil = words(["certutil", "-D", "-d"], &[&database(profile)]);
        plan.commands.push([certutil, words(["-n", name], &[])].concat());
    }
    plan
}

impl SystemStore {
    /// A file name that says whose certificate it is.
    fn file(&self, name: &str) -> String {
        let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let name: String = name.chars().map(plain).collect();
        format!("{name}.{}", self.extension)
    }
}

impl Machine {
    fn system_store(&self) -> Option<&'static SystemStore> {
        SYSTEM_STORES.iter().find(|store| {
            let program = store.update.first();
            self.root.join(store.directory).is_dir() && program.is_some_and(|name| self.has(name))
        })
    }

    /// The profiles with a certificate database, if there is a program that can change it.
    fn profiles(&self, remarks: &mut Vec<String>) -> Vec<PathBuf> {
        let Some(home) = &self.home else { return Vec::new() };
        let below = |place: &str| fs::read_dir(home.join(place)).into_iter().flatten().flatten();
        let profiles = PROFILES.iter().flat_map(|place| below(place)).map(|entry| entry.path());
        let mut profiles: Vec<_> =
            profiles.filter(|profile| profile.join("cert9.db").is_file()).collect();
        profiles.sort();
        if !profiles.is_empty() && !self.has("certutil") {
            remarks.push(
                "Firefox and Thunderbird are left out, because certutil is missing: install the \
                 package libnss3-tools (Debian) or nss-tools (Fedora)"
                    .to_owned(),
            );
            return Vec::new();
        }
        profiles
    }

    /// Whether a profile's database has a certificate of that name.
    fn knows(&self, profile: &Path, name: &str) -> bool {
        let Some(certutil) = self.program("certutil") else { return false };
        let mut command = Command::new(certutil);
        command.arg("-L").arg("-d").arg(database(profile)).args(["-n", name]);
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        status.status().is_ok_and(|status| status.success())
    }

    fn as_root(&self, command: &[OsString]) -> Vec<OsString> {
        let sudo = (!self.is_root).then(|| OsString::from("sudo"));
        sudo.into_iter().chain(command.iter().cloned()).collect()
    }

    fn has(&self, program: &str) -> bool {
        self.program(program).is_some()
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        // Programs of the administrator's are not always in the PATH of other users.
        let of_administrator = ["usr/sbin", "sbin"].map(|directory| self.root.join(directory));
        let directories = self.programs.iter().cloned().chain(of_administrator);
        directories.map(|directory| directory.join(name)).find(|path| path.is_file())
    }
}

/// The database of a profile, as certutil wants it.
fn database(profile: &Path) -> OsString {
    let mut database = OsString::from("sql:");
    database.push(profile);
    database
}

fn words<'a>(beginning: impl IntoIterator<Item = &'a str>, end: &[&OsStr]) -> Vec<OsString> {
    let beginning = beginning.into_iter().map(OsString::from);
    beginning.chain(end.iter().map(|&word| word.to_owned())).collect()
}

/// A command as a shell would take it.
#[must_use]
pub fn line(command: &[OsString]) -> Vec<u8> {
    let is_plain = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_./:,=+".contains(octet);
    let word = |word: &OsString| match word.as_bytes() {
        plain if !plain.is_empty() && plain.iter().all(is_plain) => plain.to_vec(),
        _ => quoted(word),
    };
    command.iter().map(word).collect::<Vec<_>>().join(&b' ')
}

/// A word between single quotes, within which a shell changes nothing.
#[must_use]
pub fn quoted(word: &OsStr) -> Vec<u8> {
    let mut quoted = vec![b'\''];
    for &octet in word.as_bytes() {
        match octet {
            b'\'' => quoted.extend_from_slice(b"'\\''"),
            octet => quoted.push(octet),
        }
    }
    quoted.push(b'\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    const NAME: &str = "mailconsole authority 00c0ffee";

    /// A machine with these directories and files; files in `bin` are programs that succeed.
    fn machine(paths: &[&str]) -> (TempDir, Machine) {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in paths {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            if path.ends_with('/') {
                fs::create_dir_all(at(path)).unwrap();
            } else {
                fs::write(at(path), "#!/bin/sh\nexit 0\n").unwrap();
                fs::set_permissions(at(path), fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        let machine = Machine {
            root: dir.path().to_owned(),
            home: Some(at("home")),
            is_root: false,
            programs: vec![at("bin")],
        };
        (dir, machine)
    }

    fn lines(plan: &Plan, dir: &TempDir) -> Vec<String> {
        let line = |command: &Vec<OsString>| String::from_utf8(line(command)).unwrap();
        let root = dir.path().to_str().unwrap();
        plan.commands.iter().map(|command| line(command).replace(root, "")).collect()
    }

    #[test]
    fn each_family_of_systems_has_its_store() {
        for (paths, file, update) in [
            (
                ["usr/local/share/ca-certificates/", "usr/sbin/update-ca-certificates"],
                "/usr/local/share/ca-certificates/mailconsole-authority-00c0ffee.crt",
                "update-ca-certificates",
            ),
            (
                ["etc/pki/ca-trust/source/anchors/", "bin/update-ca-trust"],
                "/etc/pki/ca-trust/source/anchors/mailconsole-authority-00c0ffee.pem",
                "update-ca-trust",
            ),
            (
                ["etc/ca-certificates/trust-source/anchors/", "bin/trust"],
                "/etc/ca-certificates/trust-source/anchors/mailconsole-authority-00c0ffee.crt",
                "trust extract-compat",
            ),
            (
                ["usr/share/pki/trust/anchors/", "bin/update-ca-certificates"],
                "/usr/share/pki/trust/anchors/mailconsole-authority-00c0ffee.pem",
                "update-ca-certificates",
            ),
        ] {
            let (dir, mut machine) = machine(&paths);
            let plan = install(&machine, NAME, Path::new("/x/ca.pem"));
            let installs = format!("install -m 0644 /x/ca.pem {file}");
            assert_eq!(lines(&plan, &dir), [format!("sudo {installs}"), format!("sudo {update}")]);
            assert!(plan.remarks.is_empty());
            machine.is_root = true;
            let plan = install(&machine, NAME, Path::new("/x/ca.pem"));
            assert_eq!(lines(&plan, &dir), [installs, update.to_owned()]);
            assert!(uninstall(&machine, NAME).commands.is_empty());
            fs::write(dir.path().join(&file[1..]), "").unwrap();
            let undone = lines(&uninstall(&machine, NAME), &dir);
            assert_eq!(undone, [format!("rm {file}"), update.to_owned()]);
        }
    }

    #[test]
    fn every_profile_of_firefox_and_thunderbird_is_told() {
        let (dir, machine) = machine(&[
            "bin/certutil",
            "home/.mozilla/firefox/ab.default/cert9.db",
            "home/.mozilla/firefox/empty/",
            "home/.thunderbird/c d/cert9.db",
        ]);
        let plan = install(&machine, NAME, Path::new("/x/ca.pem"));
        let told =
            |profile: &str| format!("certutil -A -d {profile} -n '{NAME}' -t C,, -i /x/ca.pem");
        let firefox = told("sql:/home/.mozilla/firefox/ab.default");
        assert_eq!(lines(&plan, &dir), [firefox, told("'sql:/home/.thunderbird/c d'")]);
        assert!(plan.remarks[0].contains("mailconsole ca env"), "{:?}", plan.remarks);
        let undone = lines(&uninstall(&machine, NAME), &dir);
        assert_eq!(
            undone[0],
            format!("certutil -D -d sql:/home/.mozilla/firefox/ab.default -n '{NAME}'")
        );
        assert_eq!(undone.len(), 2);
    }

    #[test]
    fn a_tool_that_is_missing_is_named_with_its_package() {
        let (_dir, machine) = machine(&["home/.thunderbird/x/cert9.db"]);
        for plan in [install(&machine, NAME, Path::new("ca.pem")), uninstall(&machine, NAME)] {
            assert!(plan.commands.is_empty());
            assert!(plan.remarks.iter().any(|remark| remark.contains("libnss3-tools")));
        }
    }
}
