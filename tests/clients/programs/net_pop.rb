# Fetches the first message with Net::POP3, of Ruby itself, and prints it. It knows no STLS.
require "net/pop"

host, port, tls = ENV.values_at("MAIL_HOST", "MAIL_PORT", "MAIL_TLS")
user, password = ENV.values_at("MAIL_USER", "MAIL_PASSWORD")

# shown in docs/clients.md: from here
pop = Net::POP3.new(host, port.to_i)
# Trusts SSL_CERT_FILE.
pop.enable_ssl if tls == "implicit"
pop.start(user, password) { puts pop.mails.first.pop }
# to here
