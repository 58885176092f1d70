// Sends with net/smtp, of Go itself.
package main

import (
	"crypto/tls"
	"log"
	"net/smtp"
	"os"
)

func main() {
	host, port := os.Getenv("MAIL_HOST"), os.Getenv("MAIL_PORT")
	from, to := os.Getenv("MAIL_FROM"), os.Getenv("MAIL_TO")
	user, password := os.Getenv("MAIL_USER"), os.Getenv("MAIL_PASSWORD")
	security := os.Getenv("MAIL_TLS")
	fields := "From: " + from + "\r\nTo: " + to + "\r\nSubject: " + os.Getenv("MAIL_SUBJECT") + "\r\n"
	text := []byte(fields + "\r\nHello from Go.\r\n")
	// shown in docs/clients.md: from here
	var auth smtp.Auth
	if user != "" {
		auth = smtp.PlainAuth("", user, password, host)
	}
	if security != "implicit" {
		// Begins TLS by itself if STARTTLS is offered. Trusts SSL_CERT_FILE.
		check(smtp.SendMail(host+":"+port, auth, from, []string{to}, text))
		return
	}
	connection, err := tls.Dial("tcp", host+":"+port, nil)
	check(err)
	client, err := smtp.NewClient(connection, host)
	// to here
	check(err)
	check(client.Auth(auth))
	check(client.Mail(from))
	check(client.Rcpt(to))
	writer, err := client.Data()
	check(err)
	_, err = writer.Write(text)
	check(err)
	check(writer.Close())
	check(client.Quit())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
