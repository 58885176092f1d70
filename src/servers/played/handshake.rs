//! What goes wrong when TLS begins.

use tokio::time::timeout;

use crate::fault::plan::{Ending, TlsFault};
use crate::servers::channel::{Channel, End};
use crate::servers::limits::{HANDSHAKE, READ_OCTETS};
use crate::servers::tls::Presented;
use crate::wire::line::{LINE_OCTETS, LineBuffer};

/// Octets that begin no record of TLS.
const GARBAGE: &[u8] = b"This is not TLS.\r\n";

/// A record with the alert `handshake_failure`, which ends the connection (RFC 5246 section 7.2).
const ALERT: &[u8] = &[21, 3, 3, 0, 2, 2, 40];

impl Channel {
    /// Begins TLS, or what stands in its place. All output has been sent.
    pub(super) async fn secure_by_fault(&mut self, fault: TlsFault) -> Result<(), End> {
        let presented = match fault {
            TlsFault::Cut => return Err(End::Fault(Ending::Cut)),
            TlsFault::Garbage => return Err(self.instead_of_handshake(GARBAGE).await),
            TlsFault::Alert => return Err(self.instead_of_handshake(ALERT).await),
            TlsFault::Expired => Presented::Expired,
            TlsFault::Name => Presented::OtherName,
            TlsFault::Authority => Presented::OtherAuthority,
        };
        self.secure_presenting(presented).await
    }

    /// Answers the client's hello with these octets.
    async fn instead_of_handshake(&mut self, octets: &[u8]) -> End {
        // Not before the hello: a client would take them for a part of the reply in the open.
        let mut hello = LineBuffer::new(LINE_OCTETS);
        match timeout(HANDSHAKE, self.arrival(&mut hello, READ_OCTETS)).await {
            // No farewell in the open: the client speaks TLS.
            Ok(Err(End::Shutdown)) => End::Fault(Ending::Cut),
            Ok(Err(end)) => end,
            Ok(Ok(_)) | Err(_) => {
                self.replies.extend_from_slice(octets);
                End::Fault(Ending::Cut)
            }
        }
    }
}
