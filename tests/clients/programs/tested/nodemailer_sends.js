// Sends a message with nodemailer: HOST PORT plain|login|tls USER PASSWORD FROM MESSAGE TO...
const fs = require("fs");
const nodemailer = require("nodemailer");
const [host, port, way, user, pass, from, message, ...to] = process.argv.slice(2);

const transport = nodemailer.createTransport({
  host,
  port,
  requireTLS: way === "tls",
  tls: way === "tls" ? { ca: fs.readFileSync(process.env.MAILCONSOLE_CA) } : {},
  auth: way === "plain" ? undefined : { user, pass },
});
transport
  .sendMail({ envelope: { from, to }, raw: fs.readFileSync(message) })
  .then(({ rejected }) => {
    process.exitCode = rejected.length > 0 ? 1 : 0;
  })
  .catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
