// A test of an application that sends mail, as docs/ci.md has it: run by
//
//     mailconsole exec --profile catch -- node --test tests/ci/mail.test.mjs

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";

// What the application does; with nodemailer it would be createTransport(process.env.SMTP_URL).
function sendWelcome(to) {
  const command = process.env.MAILCONSOLE ?? "mailconsole";
  execFileSync(command, ["send", "--to", to, "--subject", "Welcome", "--body", "Hello Bob"]);
}

test("the welcome message is sent", () => {
  sendWelcome("bob@example.org");
  const directory = process.env.MAILCONSOLE_DIR;
  const mailboxes = readdirSync(directory).filter((name) => name.endsWith(".mbox"));
  const mail = mailboxes.map((name) => readFileSync(join(directory, name), "utf8")).join("");
  assert.match(mail, /^To: bob@example\.org$/m);
  assert.match(mail, /^Subject: Welcome$/m);
});
