// Sends with nodemailer.
const nodemailer = require("nodemailer");
const env = process.env;
const { MAIL_HOST: host, MAIL_PORT: port, MAIL_TLS: tls } = env;
const { MAIL_USER: user, MAIL_PASSWORD: password } = env;

// shown in docs/clients.md: from here
// Begins TLS by itself if STARTTLS is offered. Trusts NODE_EXTRA_CA_CERTS.
const transport = nodemailer.createTransport({
  host,
  port,
  secure: tls === "implicit",
  auth: user ? { user, pass: password } : undefined,
});
// to here

transport
  .sendMail({
    from: env.MAIL_FROM,
    to: env.MAIL_TO,
    subject: env.MAIL_SUBJECT,
    text: "Hello from nodemailer.\n",
  })
  .catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
