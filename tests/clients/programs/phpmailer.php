<?php
// Sends with PHPMailer, as Debian packs it.
use PHPMailer\PHPMailer\PHPMailer;

require '/usr/share/php/libphp-phpmailer/autoload.php';

[$host, $port, $tls] = array_map('getenv', ['MAIL_HOST', 'MAIL_PORT', 'MAIL_TLS']);
[$user, $password] = array_map('getenv', ['MAIL_USER', 'MAIL_PASSWORD']);
$mail = new PHPMailer(true);
// shown in docs/clients.md: from here
// Begins TLS by itself if STARTTLS is offered. Trusts SSL_CERT_FILE.
$mail->isSMTP();
$mail->Host = $host;
$mail->Port = (int) $port;
$mail->SMTPAuth = $user !== '';
$mail->Username = $user;
$mail->Password = $password;
if ($tls === 'implicit') {
    $mail->SMTPSecure = PHPMailer::ENCRYPTION_SMTPS;
}
// to here
$mail->Timeout = 20;
$mail->setFrom(getenv('MAIL_FROM'));
$mail->addAddress(getenv('MAIL_TO'));
$mail->Subject = getenv('MAIL_SUBJECT');
$mail->Body = "Hello from PHPMailer.\n";
$mail->send();
