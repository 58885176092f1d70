# Sends with Net::SMTP, of Ruby itself.
require "net/smtp"

host, port, tls = ENV.values_at("MAIL_HOST", "MAIL_PORT", "MAIL_TLS")
user, password = ENV.values_at("MAIL_USER", "MAIL_PASSWORD")
from, to, subject = ENV.values_at("MAIL_FROM", "MAIL_TO", "MAIL_SUBJECT")
text = "From: #{from}\nTo: #{to}\nSubject: #{subject}\n\nHello from Ruby.\n"
login = user.empty? ? {} : { user: user, secret: password }

# shown in docs/clients.md: from here
# Begins TLS by itself if STARTTLS is offered. Trusts SSL_CERT_FILE.
Net::SMTP.start(host, port.to_i, tls: tls == "implicit", **login) do |smtp|
  smtp.send_message(text, from, to)
end
# to here
