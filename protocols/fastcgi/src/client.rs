//! The Web server's side of a connection: sends requests, receives answers. It must not know sockets, time or HTTP.

use bytes::{BufMut, BytesMut};

use crate::error::{Error, Misuse, Unclean, Violation};
use crate::events::ClientEvent;
use crate::limits::ClientLimits;
use crate::management::{check_management, names_content, read_values};
use crate::params::{Output as OutputBuffer, ParamsWriter};
use crate::reader::{self, RecordReader};
use crate::record::{
    BeginRequest, EndRequest, Header, KEEP_CONN, MAX_CONTENT_BYTES, RecordType, RequestId, Role,
};
use crate::state::{Input, InputStream, Output, OutputStream, Requests, Step};
use crate::writer::{RecordFraming, put_empty, put_fixed, put_management};

type Reading = reader::Reading<ClientEvent>;

/// The side of a connection that the specification calls the Web server.
///
/// Feed it by [`receive_buffer`](Self::receive_buffer) (or [`receive`](Self::receive)), and call
/// [`next_event`](Self::next_event) until it returns `None`. To speak, call the `begin`, `params`, `send_...`
/// methods and write the bytes they yield to the connection **in the order of the calls**.
///
/// The connection may carry another request only while [`is_reusable`](Self::is_reusable) says so.
#[derive(Debug)]
pub struct Client {
    reader: RecordReader,
    requests: Requests<Request>,
    limits: ClientLimits,
    /// Answers to GET_VALUES that are still to come.
    values_awaited: usize,
    /// The peer has closed its direction.
    ended: bool,
    failed: Option<Violation>,
    /// Set for good by a request that spoiled the connection for others.
    spoiled: Option<Unclean>,
}

#[derive(Debug)]
struct Request {
    input: Input,
    output: Output,
    /// What still comes for it is dropped.
    aborted: bool,
}

impl Default for Client {
    fn default() -> Self {
        Self::new(ClientLimits::default())
    }
}

impl Client {
    /// The side of a new connection.
    pub fn new(limits: ClientLimits) -> Self {
        Self {
            reader: RecordReader::default(),
            requests: Requests::new(),
            limits,
            values_awaited: 0,
            ended: false,
            failed: None,
            spoiled: None,
        }
    }

    /// Opens a request: takes the lowest free id and appends BEGIN_REQUEST (16 bytes) to `out`. Without `keep_conn` the
    /// application closes the connection afterwards, and no other request can be begun on it.
    ///
    /// # Errors
    /// [`Misuse::TooManyRequests`]; [`Misuse::NotReusable`] when the connection takes no more requests.
    pub fn begin(&mut self, role: Role, keep_conn: bool, out: &mut impl BufMut) -> Result<RequestId, Error> {
        if let Some(unclean) = self.refuses() {
            return Err(Misuse::NotReusable(unclean).into());
        }
        let limit = self.limits.max_requests.max(1);
        // FastCGI 1.0 3.3: request ids are reused and kept small.
        let Some(id) = self.requests.lowest_free(limit) else {
            return Err(Misuse::TooManyRequests { limit }.into());
        };
        if !keep_conn {
            self.spoiled = Some(Unclean::NotKept { id });
        }
        self.requests.insert(id, Request { input: Input::new(role), output: Output::new(), aborted: false });
        // FastCGI 1.0 5.1: with KEEP_CONN the Web server, else the application closes the connection.
        let flags = if keep_conn { KEEP_CONN } else { 0 };
        let body = BeginRequest { role: role.number(), flags }.to_bytes();
        put_fixed(out, RecordType::BeginRequest, id.get(), body);
        Ok(id)
    }

    /// The writer of the request's PARAMS, once for each request, directly after [`begin`](Self::begin). It must be
    /// finished.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`]; [`Misuse::OutOfOrder`] the second time.
    pub fn params<'a, B: OutputBuffer>(
        &mut self,
        id: RequestId,
        out: &'a mut B,
    ) -> Result<ParamsWriter<'a, B>, Error> {
        self.send_step(id, InputStream::Params, true)?;
        Ok(ParamsWriter::new(id, out))
    }

    /// Frames the next `length` bytes of the request's body, or as many as one record takes: see [`RecordFraming`].
    ///
    /// # Errors
    /// [`Misuse::UnknownId`], [`Misuse::OutOfOrder`], [`Misuse::EmptyContent`].
    pub fn send_stdin(&mut self, id: RequestId, length: usize) -> Result<RecordFraming, Error> {
        self.send_content(id, InputStream::Stdin, length)
    }

    /// Ends the request's body: appends the empty STDIN record (8 bytes) to `out`. A Responder and a Filter must
    /// get it, also when there is no body.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`], [`Misuse::OutOfOrder`].
    pub fn end_stdin(&mut self, id: RequestId, out: &mut impl BufMut) -> Result<(), Error> {
        self.send_end(id, InputStream::Stdin, out)
    }

    /// Frames the next `length` bytes of the file that a Filter is to filter; only after the end of STDIN.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`], [`Misuse::OutOfOrder`], [`Misuse::EmptyContent`].
    pub fn send_data(&mut self, id: RequestId, length: usize) -> Result<RecordFraming, Error> {
        self.send_content(id, InputStream::Data, length)
    }

    /// Ends the file: appends the empty DATA record (8 bytes) to `out`.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`], [`Misuse::OutOfOrder`].
    pub fn end_data(&mut self, id: RequestId, out: &mut impl BufMut) -> Result<(), Error> {
        self.send_end(id, InputStream::Data, out)
    }

    /// Gives a request up: appends ABORT_REQUEST (8 bytes) to `out`. Its streams to the application are over; what the
    /// application still says is dropped until its END_REQUEST, which comes as an event. Aborting twice appends
    /// nothing the second time.
    ///
    /// An application that does not know ABORT_REQUEST just goes on: give it a little time, then close the connection.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`].
    pub fn abort(&mut self, id: RequestId, out: &mut impl BufMut) -> Result<(), Error> {
        let Some(request) = self.requests.get_mut(id) else { return Err(Misuse::UnknownId { id }.into()) };
        if !request.aborted {
            request.aborted = true;
            request.input.cut_off();
            put_empty(out, RecordType::AbortRequest, id);
        }
        Ok(())
    }

    /// Asks the application what it can do: appends GET_VALUES to `out`. The names are [`MAX_CONNS`](crate::MAX_CONNS),
    /// [`MAX_REQS`](crate::MAX_REQS) and [`MPXS_CONNS`](crate::MPXS_CONNS). Few applications answer; some close the
    /// connection.
    ///
    /// # Errors
    /// [`Misuse::TooManyNames`] when they do not fit into one record.
    pub fn send_get_values(&mut self, names: &[&str], out: &mut impl BufMut) -> Result<(), Error> {
        let content = names_content(names);
        if content.len() > MAX_CONTENT_BYTES {
            return Err(Misuse::TooManyNames { length: content.len() }.into());
        }
        put_management(out, RecordType::GetValues, &content);
        self.values_awaited += 1;
        Ok(())
    }

    /// The buffer to which received bytes are appended. Reserve room in it and read straight into it; it never needs
    /// to hold more than one fixed record for the codec to go on. It holds no memory when the connection is idle.
    pub fn receive_buffer(&mut self) -> &mut BytesMut {
        self.reader.buffer()
    }

    /// Takes received bytes by copying them. I/O layers rather read into [`receive_buffer`](Self::receive_buffer).
    pub fn receive(&mut self, bytes: &[u8]) {
        self.reader.buffer().extend_from_slice(bytes);
    }

    /// The application closed its direction. Then call [`next_event`](Self::next_event) until it returns `None`, which
    /// means that nothing was cut off, or [`Violation::Truncated`].
    pub const fn receive_end(&mut self) {
        self.ended = true;
    }

    /// What the received bytes say next; `None` asks for more of them.
    ///
    /// # Errors
    /// [`Error::Remote`] when the application broke the protocol; from then on always the same.
    pub fn next_event(&mut self) -> Result<Option<ClientEvent>, Error> {
        if let Some(violation) = self.failed {
            return Err(violation.into());
        }
        let event = self.read_event().and_then(|event| match event {
            None if self.ended => self.check_end().map(|()| None),
            event => Ok(event),
        });
        match event {
            Ok(event) => {
                if event.is_none() && self.requests.is_empty() {
                    self.reader.release();
                }
                Ok(event)
            }
            Err(violation) => {
                self.failed = Some(violation);
                Err(violation.into())
            }
        }
    }

    /// Whether nothing speaks against another request on this connection: every request has had its END_REQUEST, no
    /// byte is left over, the peer broke nothing. Only then may it go back among the kept connections.
    pub fn is_reusable(&self) -> bool {
        self.unclean().is_none()
    }

    /// Why the connection may not carry another request, or `None` when it may.
    pub fn unclean(&self) -> Option<Unclean> {
        if let Some(unclean) = self.refuses() {
            return Some(unclean);
        }
        match self.requests.len() {
            0 if self.values_awaited > 0 => Some(Unclean::ValuesAwaited),
            0 if !self.reader.is_at_rest() => Some(Unclean::LeftOver),
            0 => None,
            requests => Some(Unclean::InProgress { requests }),
        }
    }

    /// The number of requests in progress, aborted ones included.
    pub fn requests_in_progress(&self) -> usize {
        self.requests.len()
    }

    /// Why not even a multiplexed request may be begun.
    fn refuses(&self) -> Option<Unclean> {
        match (self.failed, self.ended) {
            (Some(_), _) => Some(Unclean::Broken),
            (None, true) => Some(Unclean::Closed),
            (None, false) => self.spoiled,
        }
    }

    fn send_step(&mut self, id: RequestId, stream: InputStream, is_empty: bool) -> Result<(), Error> {
        let Some(request) = self.requests.get_mut(id).filter(|request| !request.aborted) else {
            return Err(Misuse::UnknownId { id }.into());
        };
        let role = request.input.role;
        let awaited = match request.input.step(stream, is_empty) {
            Ok(Step::Content | Step::End) => return Ok(()),
            Ok(Step::EndAgain) => request.input.awaited(),
            Err(out_of_turn) => out_of_turn.0,
        };
        let awaited = awaited.map(InputStream::record_type);
        Err(Misuse::OutOfOrder { sent: stream.record_type(), id, role, awaited }.into())
    }

    fn send_content(
        &mut self,
        id: RequestId,
        stream: InputStream,
        length: usize,
    ) -> Result<RecordFraming, Error> {
        let record_type = stream.record_type();
        if length == 0 {
            return Err(Misuse::EmptyContent { record_type, id }.into());
        }
        self.send_step(id, stream, false)?;
        Ok(RecordFraming::new(record_type, id, length))
    }

    fn send_end(&mut self, id: RequestId, stream: InputStream, out: &mut impl BufMut) -> Result<(), Error> {
        self.send_step(id, stream, true)?;
        put_empty(out, stream.record_type(), id);
        Ok(())
    }

    fn read_event(&mut self) -> Result<Option<ClientEvent>, Violation> {
        while let Some(header) = self.reader.header()? {
            let event = match header.record_type {
                RecordType::Stdout => self.read_stream(header, OutputStream::Stdout)?,
                RecordType::Stderr => self.read_stream(header, OutputStream::Stderr)?,
                RecordType::EndRequest => return self.read_end_request(header),
                RecordType::GetValuesResult => return self.read_values(header),
                RecordType::UnknownType => return self.read_unknown_type(header),
                RecordType::Other(_) => Reading::skipped(self.reader.skip()),
                record_type @ (RecordType::BeginRequest
                | RecordType::AbortRequest
                | RecordType::Params
                | RecordType::Stdin
                | RecordType::Data
                | RecordType::GetValues) => {
                    return Err(Violation::WrongDirection { record_type, id: header.request_id });
                }
            };
            match event {
                Reading::Event(event) => return Ok(Some(event)),
                Reading::Dropped => {}
                Reading::Incomplete => return Ok(None),
            }
        }
        Ok(None)
    }

    fn read_stream(&mut self, header: Header, stream: OutputStream) -> Result<Reading, Violation> {
        let (id, request) = in_progress(&mut self.requests, header)?;
        if request.aborted {
            return Ok(Reading::skipped(self.reader.skip()));
        }
        let role = request.input.role;
        let step = request
            .output
            .step(stream, header.content_length == 0)
            .map_err(|_| Violation::OutOfOrder { found: stream.record_type(), id, role, awaited: None })?;
        let Some(content) = self.reader.piece() else { return Ok(Reading::Incomplete) };
        Ok(match (step, stream) {
            (Step::Content, OutputStream::Stdout) => Reading::Event(ClientEvent::Stdout(id, content)),
            (Step::Content, OutputStream::Stderr) => Reading::Event(ClientEvent::Stderr(id, content)),
            (Step::End, OutputStream::Stdout) => Reading::Event(ClientEvent::StdoutEnd(id)),
            (Step::End, OutputStream::Stderr) => Reading::Event(ClientEvent::StderrEnd(id)),
            (Step::EndAgain, _) => Reading::Dropped,
        })
    }

    fn read_end_request(&mut self, header: Header) -> Result<Option<ClientEvent>, Violation> {
        let (id, _) = in_progress(&mut self.requests, header)?;
        let Some(body) = self.reader.whole_fixed(header)? else { return Ok(None) };
        let EndRequest { app_status, protocol_status } = EndRequest::from_bytes(body);
        if let Some(request) = self.requests.remove(id)
            && !request.input.is_complete()
        {
            self.spoiled.get_or_insert(Unclean::InputUnfinished { id });
        }
        Ok(Some(ClientEvent::EndRequest { id, app_status, protocol_status }))
    }

    fn read_values(&mut self, header: Header) -> Result<Option<ClientEvent>, Violation> {
        check_management(header, self.limits.max_management_bytes)?;
        if self.values_awaited == 0 {
            return Err(Violation::UnaskedValues);
        }
        let Some(content) = self.reader.whole() else { return Ok(None) };
        let record_type = header.record_type;
        let values = read_values(&content).map_err(|fault| Violation::Values { record_type, fault })?;
        self.values_awaited -= 1;
        Ok(Some(ClientEvent::Values(values)))
    }

    fn read_unknown_type(&mut self, header: Header) -> Result<Option<ClientEvent>, Violation> {
        check_management(header, self.limits.max_management_bytes)?;
        let Some([unknown, ..]) = self.reader.whole_fixed(header)? else { return Ok(None) };
        if unknown == RecordType::GetValues.number() {
            self.values_awaited = self.values_awaited.saturating_sub(1);
        }
        Ok(Some(ClientEvent::UnknownType(unknown)))
    }

    fn check_end(&self) -> Result<(), Violation> {
        let (requests, missing_bytes) = (self.requests.len(), self.reader.missing_bytes());
        if requests == 0 && missing_bytes == 0 {
            return Ok(());
        }
        Err(Violation::Truncated { requests, missing_bytes })
    }
}

/// The request that a record belongs to.
fn in_progress(
    requests: &mut Requests<Request>,
    header: Header,
) -> Result<(RequestId, &mut Request), Violation> {
    let record_type = header.record_type;
    let id = RequestId::new(header.request_id).ok_or(Violation::NullId { record_type })?;
    let request = requests.get_mut(id).ok_or(Violation::UnknownId { record_type, id })?;
    Ok((id, request))
}
