//! Mail servers that are compared over TLS: Dovecot and Postfix where they are installed, each with
//! a configuration, directories and a port of its own.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Group, Uid, User};
use rcgen::{CertificateParams, KeyPair};

use crate::cores::Cores;
use crate::peers::{free_port, installed};
use crate::process::Server;

/// The user that Dovecot reads mail as: it refuses to do so as root.
const READER: &str = "nobody";

/// A certificate with an ECDSA key on P-256, as all servers present it.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    /// Makes one in `dir`.
    pub(crate) fn make(dir: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let names = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let made =
            Self { certificate: dir.join("certificate.pem"), key: dir.join("certificate.key") };
        fs::write(&made.certificate, names.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&made.key, key.serialize_pem()).unwrap();
        made
    }
}

/// Dovecot's POP3 server.
#[derive(Debug)]
pub(crate) struct Dovecot(PathBuf);

impl Dovecot {
    /// Where it is, if it can be measured with mailboxes in `dir`.
    pub(crate) fn find(dir: &Path) -> Result<Self, String> {
        let program = installed_for_root("dovecot", dir)?;
        // Debian has it in a package of its own.
        let pop3 = Path::new("/usr/lib/dovecot/pop3").is_file();
        pop3.then_some(Self(program)).ok_or_else(|| "its POP3 server is not installed".to_owned())
    }

    /// Serves the mailboxes in `mail`, with what else it needs in `home`, over TLS alone.
    pub(crate) fn start(
        &self,
        home: &Path,
        mail: &Path,
        password: &str,
        certificate: &Certificate,
        cores: &Cores,
    ) -> Server {
        let port = free_port();
        for name in ["base", "state", "users"] {
            DirBuilder::new().recursive(true).create(home.join(name)).unwrap();
        }
        own(&home.join("users"), READER);
        let mailboxes = fs::read_dir(mail).unwrap().map(|entry| entry.unwrap().path());
        mailboxes.chain([mail.to_owned()]).for_each(|path| own(&path, READER));
        let config = home.join("dovecot.conf");
        fs::write(&config, dovecot_conf(home, mail, password, certificate, port)).unwrap();
        Server::start_tree_on(port, Command::new(&self.0).arg("-F").arg("-c").arg(config), cores)
    }
}

/// Processes are kept for further connections, as its manual has it for performance, and neither
/// the number of sessions nor logins are limited.
fn dovecot_conf(
    home: &Path,
    mail: &Path,
    password: &str,
    Certificate { certificate, key }: &Certificate,
    port: u16,
) -> String {
    let (home, mail) = (home.display(), mail.display());
    let (certificate, key) = (certificate.display(), key.display());
    format!(
        "base_dir = {home}/base
        state_dir = {home}/state
        log_path = /dev/null
        protocols = pop3
        listen = 127.0.0.1
        ssl = required
        ssl_cert = <{certificate}
        ssl_key = <{key}
        ssl_options = no_ticket
        default_internal_user = {READER}
        default_internal_group = nogroup
        default_login_user = {READER}
        first_valid_uid = 1
        mail_privileged_group =
        mail_max_userip_connections = 0
        mail_location = mbox:{home}/users/%u:INBOX={mail}/%u.mbox
        passdb {{
          driver = static
          args = password={password}
        }}
        userdb {{
          driver = static
          args = uid={READER} gid=nogroup home={home}/users/%u
        }}
        service pop3-login {{
          chroot =
          service_count = 0
          process_min_avail = 1
          inet_listener pop3 {{
            port = 0
          }}
          inet_listener pop3s {{
            port = {port}
          }}
        }}
        service pop3 {{
          service_count = 0
        }}
        service anvil {{
          chroot =
        }}
        service stats {{
          chroot =
        }}
"
    )
}

/// Postfix's SMTP server, and what it needs to queue a message.
#[derive(Debug)]
pub(crate) struct Postfix(PathBuf);

const POSTFIX: &str = "postfix";

const POSTDROP: &str = "postdrop";

impl Postfix {
    /// Where it is, if it can be measured with a queue in `dir`.
    pub(crate) fn find(dir: &Path) -> Result<Self, String> {
        installed_for_root(POSTFIX, dir)?;
        let programs = ["/usr/lib/postfix/sbin", "/usr/libexec/postfix", "/usr/lib/postfix"];
        let programs = programs.map(PathBuf::from).into_iter();
        let found = programs.into_iter().find(|folder| folder.join("smtpd").is_file());
        let found = found.ok_or("its programs are nowhere where they are looked for")?;
        let users = User::from_name(POSTFIX).unwrap().is_some();
        let groups = Group::from_name(POSTDROP).unwrap().is_some();
        (users && groups).then_some(Self(found)).ok_or_else(|| "it has no user".to_owned())
    }

    /// Takes mail over TLS alone, into a queue in `home`, and throws it away then.
    pub(crate) fn start(&self, home: &Path, certificate: &Certificate, cores: &Cores) -> Server {
        let port = free_port();
        make_queue(home);
        let config = home.join("config");
        fs::create_dir(&config).unwrap();
        fs::write(config.join("main.cf"), self.main_cf(home, certificate)).unwrap();
        fs::write(config.join("master.cf"), master_cf(port)).unwrap();
        let mut command = Command::new(self.0.join("master"));
        Server::start_tree_on(port, command.arg("-d").arg("-c").arg(config), cores)
    }

    fn main_cf(&self, home: &Path, Certificate { certificate, key }: &Certificate) -> String {
        let (programs, home) = (self.0.display(), home.display());
        let (certificate, key) = (certificate.display(), key.display());
        format!(
            "compatibility_level = 3.6
queue_directory = {home}/queue
data_directory = {home}/data
daemon_directory = {programs}
mail_owner = {POSTFIX}
setgid_group = {POSTDROP}
myhostname = localhost
mydestination = localhost
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
local_recipient_maps =
local_transport = discard
default_transport = discard
in_flow_delay = 0
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_tls_wrappermode = yes
smtpd_tls_security_level = encrypt
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {key}
tls_ssl_options = NO_TICKET
max_use = 1000000
"
        )
    }
}

fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n - 1 qmgr
tlsmgr unix - - n - 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
discard unix - - n - - discard
"
    )
}

/// The directories of a queue, with their owners and permissions.
fn make_queue(home: &Path) {
    let queue = home.join("queue");
    let make = |path: &Path, mode| DirBuilder::new().mode(mode).create(path).unwrap();
    make(&queue, 0o755);
    make(&queue.join("pid"), 0o755);
    let own_ones = ["incoming", "active", "deferred", "hold", "corrupt", "private"];
    let states = ["defer", "bounce", "trace", "flush", "saved", "maildrop", "public"];
    let inside = own_ones.iter().chain(&states).map(|name| queue.join(name));
    for path in inside.chain([home.join("data")]) {
        make(&path, 0o700);
        own(&path, POSTFIX);
    }
}

/// Gives a file to a user.
fn own(path: &Path, user: &str) {
    let user = User::from_name(user).unwrap().unwrap();
    chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
}

/// Where a program is that only root can start with users of its own, and if those can come to
/// `dir`.
fn installed_for_root(name: &str, dir: &Path) -> Result<PathBuf, String> {
    let program = installed(name).ok_or("it is not installed")?;
    if !Uid::effective().is_root() {
        return Err("only root can start it with users of its own".to_owned());
    }
    let closed = dir.ancestors().find(|folder| fs::metadata(folder).unwrap().mode() & 0o1 == 0);
    match closed {
        Some(folder) => Err(format!("its users cannot enter {}", folder.display())),
        None => Ok(program),
    }
}
