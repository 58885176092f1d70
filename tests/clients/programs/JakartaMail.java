// Sends a message, or fetches the first one and prints it, with Jakarta Mail.

import jakarta.mail.Folder;
import jakarta.mail.Message;
import jakarta.mail.Session;
import jakarta.mail.Store;
import jakarta.mail.Transport;
import jakarta.mail.internet.InternetAddress;
import jakarta.mail.internet.MimeMessage;
import java.util.Properties;

class JakartaMail {
    static final String HOST = System.getenv("MAIL_HOST");
    static final String PORT = System.getenv("MAIL_PORT");
    static final String TLS = System.getenv("MAIL_TLS");
    static final String USER = System.getenv("MAIL_USER");
    static final String PASSWORD = System.getenv("MAIL_PASSWORD");

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("send")) {
            send();
        } else {
            fetch();
        }
    }

    static Session session(String protocol) {
        Properties properties = new Properties();
        // shown in docs/clients.md: from here
        // `protocol` is smtp or pop3. Trusts -Djavax.net.ssl.trustStore.
        properties.put("mail." + protocol + ".host", HOST);
        properties.put("mail." + protocol + ".port", PORT);
        properties.put("mail." + protocol + ".starttls.enable", TLS.equals("starttls"));
        properties.put("mail." + protocol + ".ssl.enable", TLS.equals("implicit"));
        properties.put("mail." + protocol + ".ssl.checkserveridentity", "true");
        properties.put("mail.smtp.auth", !USER.isEmpty());
        // to here
        properties.put("mail." + protocol + ".timeout", "20000");
        return Session.getInstance(properties);
    }

    static void send() throws Exception {
        MimeMessage message = new MimeMessage(session("smtp"));
        message.setFrom(new InternetAddress(System.getenv("MAIL_FROM")));
        message.setRecipient(Message.RecipientType.TO, new InternetAddress(System.getenv("MAIL_TO")));
        message.setSubject(System.getenv("MAIL_SUBJECT"));
        message.setText("Hello from Jakarta Mail.\n");
        if (USER.isEmpty()) {
            Transport.send(message);
        } else {
            Transport.send(message, USER, PASSWORD);
        }
    }

    static void fetch() throws Exception {
        Store store = session("pop3").getStore("pop3");
        store.connect(USER, PASSWORD);
        Folder inbox = store.getFolder("INBOX");
        inbox.open(Folder.READ_WRITE);
        inbox.getMessage(1).writeTo(System.out);
        inbox.close(true);
        store.close();
    }
}
