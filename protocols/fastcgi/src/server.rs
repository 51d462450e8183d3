//! The application's side of a connection: receives requests, sends answers. It must not know sockets, time or CGI.

use bytes::{BufMut, BytesMut};

use crate::error::{Error, Misuse, Violation};
use crate::events::{Answer, AnswerReason, ServerEvent};
use crate::limits::ServerLimits;
use crate::management::{Capabilities, answer_content, check_management, put_unknown_type, read_values};
use crate::params::ParamsReader;
use crate::reader::{self, RecordReader};
use crate::record::{BeginRequest, Header, ProtocolStatus, RecordType, RequestId, Role};
use crate::state::{Input, InputStream, OutOfTurn, Output, OutputStream, Requests, Step};
use crate::writer::{RecordFraming, put_empty, put_end_request, put_management};

type Reading = reader::Reading<ServerEvent>;

/// The side of a connection that the specification calls the application.
///
/// Feed it by [`receive_buffer`](Self::receive_buffer) (or [`receive`](Self::receive)), and call
/// [`next_event`](Self::next_event) until it returns `None`. To speak, call the `send_...` and `end_...` methods and
/// write the bytes they yield to the connection **in the order of the calls**; the records in
/// [`ServerEvent::Answer`] too. When [`should_close`](Self::should_close) says so, close it after the last byte.
#[derive(Debug)]
pub struct Server {
    reader: RecordReader,
    requests: Requests<Request>,
    limits: ServerLimits,
    capabilities: Capabilities,
    /// A request asked to close the connection after it.
    closing: bool,
    /// The peer has closed its direction.
    ended: bool,
    failed: Option<Violation>,
}

#[derive(Debug)]
struct Request {
    input: Input,
    output: Output,
    keep_conn: bool,
    /// Until the variables are complete.
    params: Option<ParamsReader>,
    aborted: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self::new(ServerLimits::default(), Capabilities::default())
    }
}

impl Server {
    /// The side of a new connection. The capabilities are what GET_VALUES is answered with.
    pub fn new(limits: ServerLimits, capabilities: Capabilities) -> Self {
        Self {
            reader: RecordReader::default(),
            requests: Requests::new(),
            limits,
            capabilities,
            closing: false,
            ended: false,
            failed: None,
        }
    }

    /// The buffer to which received bytes are appended. Reserve room in it and read straight into it. It holds no
    /// memory when the connection is idle.
    pub fn receive_buffer(&mut self) -> &mut BytesMut {
        self.reader.buffer()
    }

    /// Takes received bytes by copying them. I/O layers rather read into [`receive_buffer`](Self::receive_buffer).
    pub fn receive(&mut self, bytes: &[u8]) {
        self.reader.buffer().extend_from_slice(bytes);
    }

    /// The Web server closed its direction. Then call [`next_event`](Self::next_event) until it returns `None`, which
    /// means that nothing was cut off, or [`Violation::Truncated`]. A request whose streams have all come may be
    /// answered still.
    pub const fn receive_end(&mut self) {
        self.ended = true;
    }

    /// What the received bytes say next; `None` asks for more of them.
    ///
    /// # Errors
    /// [`Error::Remote`] when the Web server broke the protocol; from then on always the same.
    pub fn next_event(&mut self) -> Result<Option<ServerEvent>, Error> {
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

    /// Frames the next `length` bytes of the response, or as many as one record takes: see [`RecordFraming`].
    ///
    /// # Errors
    /// [`Misuse::UnknownId`], [`Misuse::EmptyContent`], [`Misuse::OutOfOrder`] after the stream's end, or before
    /// the application has received the PARAMS (a Filter: STDIN too).
    pub fn send_stdout(&mut self, id: RequestId, length: usize) -> Result<RecordFraming, Error> {
        self.send_content(id, OutputStream::Stdout, length)
    }

    /// Frames the next `length` bytes of complaint, or as many as one record takes: see [`RecordFraming`].
    ///
    /// # Errors
    /// As for [`send_stdout`](Self::send_stdout).
    pub fn send_stderr(&mut self, id: RequestId, length: usize) -> Result<RecordFraming, Error> {
        self.send_content(id, OutputStream::Stderr, length)
    }

    /// Ends the response: appends the empty STDOUT record (8 bytes) to `out`.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`], [`Misuse::OutOfOrder`] the second time.
    pub fn end_stdout(&mut self, id: RequestId, out: &mut impl BufMut) -> Result<(), Error> {
        self.send_end(id, OutputStream::Stdout, out)
    }

    /// Ends the complaints: appends the empty STDERR record (8 bytes) to `out`. Not needed when there were none.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`], [`Misuse::OutOfOrder`] the second time.
    pub fn end_stderr(&mut self, id: RequestId, out: &mut impl BufMut) -> Result<(), Error> {
        self.send_end(id, OutputStream::Stderr, out)
    }

    /// Ends the request: appends the ends of the streams that are still open, and END_REQUEST (16 to 32 bytes). What
    /// still comes for the request is dropped.
    ///
    /// # Errors
    /// [`Misuse::UnknownId`].
    pub fn end_request(
        &mut self,
        id: RequestId,
        app_status: u32,
        protocol_status: ProtocolStatus,
        out: &mut impl BufMut,
    ) -> Result<(), Error> {
        let Some(mut request) = self.requests.remove(id) else {
            return Err(Misuse::UnknownId { id }.into());
        };
        if request.output.is_open(OutputStream::Stderr) {
            put_empty(out, RecordType::Stderr, id);
        }
        // FastCGI 1.0 6.1: a stream other than STDERR has one record at the least, if it is empty.
        let completed = protocol_status == ProtocolStatus::RequestComplete;
        if request.output.is_open(OutputStream::Stdout)
            || (completed && !request.output.has_ended(OutputStream::Stdout))
        {
            put_empty(out, RecordType::Stdout, id);
        }
        // FastCGI 1.0 5.1: without KEEP_CONN the application closes the connection after its response.
        self.closing |= !request.keep_conn;
        put_end_request(out, id, app_status, protocol_status);
        Ok(())
    }

    /// Whether the connection is to be closed once all that was said is written: a request did not ask to keep it and
    /// none is in progress, or the peer broke the protocol.
    pub fn should_close(&self) -> bool {
        self.failed.is_some() || ((self.closing || self.ended) && self.requests.is_empty())
    }

    /// The number of requests in progress: begun, and not ended by us.
    pub fn requests_in_progress(&self) -> usize {
        self.requests.len()
    }

    fn send_step(&mut self, id: RequestId, stream: OutputStream, is_empty: bool) -> Result<(), Error> {
        let Some(request) = self.requests.get_mut(id) else { return Err(Misuse::UnknownId { id }.into()) };
        let (sent, role) = (stream.record_type(), request.input.role);
        if !request.input.allows_output() {
            let awaited = request.input.awaited().map(InputStream::record_type);
            return Err(Misuse::OutOfOrder { sent, id, role, awaited }.into());
        }
        match request.output.step(stream, is_empty) {
            Ok(Step::Content | Step::End) => Ok(()),
            Ok(Step::EndAgain) | Err(_) => Err(Misuse::OutOfOrder { sent, id, role, awaited: None }.into()),
        }
    }

    fn send_content(
        &mut self,
        id: RequestId,
        stream: OutputStream,
        length: usize,
    ) -> Result<RecordFraming, Error> {
        let record_type = stream.record_type();
        if length == 0 {
            return Err(Misuse::EmptyContent { record_type, id }.into());
        }
        self.send_step(id, stream, false)?;
        Ok(RecordFraming::new(record_type, id, length))
    }

    fn send_end(&mut self, id: RequestId, stream: OutputStream, out: &mut impl BufMut) -> Result<(), Error> {
        self.send_step(id, stream, true)?;
        put_empty(out, stream.record_type(), id);
        Ok(())
    }

    fn read_event(&mut self) -> Result<Option<ServerEvent>, Violation> {
        while let Some(header) = self.reader.header()? {
            let reading = match header.record_type {
                RecordType::BeginRequest => self.read_begin(header)?,
                RecordType::AbortRequest => self.read_abort(header)?,
                RecordType::Params => self.read_params(header)?,
                RecordType::Stdin => self.read_stream(header, InputStream::Stdin)?,
                RecordType::Data => self.read_stream(header, InputStream::Data)?,
                RecordType::GetValues => self.read_get_values(header)?,
                // FastCGI 1.0 4.2: an unknown type with id 0 is a management record and is answered; others are skipped.
                RecordType::Other(number) => match self.reader.skip() {
                    Some(()) if header.request_id == 0 => unknown_type(number),
                    skipped => Reading::skipped(skipped),
                },
                record_type @ (RecordType::EndRequest
                | RecordType::Stdout
                | RecordType::Stderr
                | RecordType::GetValuesResult
                | RecordType::UnknownType) => {
                    return Err(Violation::WrongDirection { record_type, id: header.request_id });
                }
            };
            match reading {
                Reading::Event(event) => return Ok(Some(event)),
                Reading::Dropped => {}
                Reading::Incomplete => return Ok(None),
            }
        }
        Ok(None)
    }

    fn read_begin(&mut self, header: Header) -> Result<Reading, Violation> {
        let id = request_id(header)?;
        if self.requests.contains(id) {
            return Err(Violation::IdInUse { id });
        }
        let Some(body) = self.reader.whole_fixed(header)? else { return Ok(Reading::Incomplete) };
        let begin = BeginRequest::from_bytes(body);
        let keep_conn = begin.keep_conn();
        let Some(role) = Role::from_number(begin.role) else {
            return Ok(self.refuse(id, keep_conn, ProtocolStatus::UnknownRole));
        };
        if let Some(protocol_status) = self.too_many() {
            return Ok(self.refuse(id, keep_conn, protocol_status));
        }
        let params = Some(ParamsReader::new(self.limits.params));
        let (input, output) = (Input::new(role), Output::new());
        self.requests.insert(id, Request { input, output, keep_conn, params, aborted: false });
        Ok(Reading::Event(ServerEvent::BeginRequest { id, role, keep_conn }))
    }

    /// Why no further request is taken now, if so.
    fn too_many(&self) -> Option<ProtocolStatus> {
        let max_requests = usize::from(self.limits.max_requests.max(1));
        if self.requests.len() >= max_requests {
            // FastCGI 1.0 5.5: CANT_MPX_CONN is for who takes one request at a time; OVERLOADED for who ran out.
            let single = max_requests == 1;
            return Some(if single { ProtocolStatus::CantMultiplex } else { ProtocolStatus::Overloaded });
        }
        let half_open = self.requests.values().filter(|request| request.input.awaits_params()).count();
        let max_half_open = usize::from(self.limits.max_half_open_requests.max(1));
        (half_open >= max_half_open).then_some(ProtocolStatus::Overloaded)
    }

    fn refuse(&mut self, id: RequestId, keep_conn: bool, protocol_status: ProtocolStatus) -> Reading {
        self.closing |= !keep_conn;
        let mut record = BytesMut::new();
        put_end_request(&mut record, id, 0, protocol_status);
        answer(AnswerReason::Refused { id, protocol_status }, record)
    }

    fn read_abort(&mut self, header: Header) -> Result<Reading, Violation> {
        let id = request_id(header)?;
        if self.reader.skip().is_none() {
            return Ok(Reading::Incomplete);
        }
        Ok(match self.requests.get_mut(id) {
            Some(request) if !request.aborted => {
                request.aborted = true;
                request.input.cut_off();
                request.params = None;
                Reading::Event(ServerEvent::Abort(id))
            }
            _ => Reading::Dropped,
        })
    }

    fn read_params(&mut self, header: Header) -> Result<Reading, Violation> {
        let Some((id, step)) = self.receive_step(header, InputStream::Params)? else {
            return Ok(Reading::skipped(self.reader.skip()));
        };
        let Some(request) = self.requests.get_mut(id) else { return Ok(Reading::Dropped) };
        let in_params = |fault| Violation::Params { id, fault };
        if let Some(params) = &request.params {
            params.announce(self.reader.content_due()).map_err(in_params)?;
        }
        let Some(content) = self.reader.piece() else { return Ok(Reading::Incomplete) };
        match step {
            Step::Content => {
                if let Some(params) = &mut request.params {
                    params.push(&content).map_err(in_params)?;
                }
                Ok(Reading::Dropped)
            }
            Step::End => {
                let params = request.params.take().map(ParamsReader::finish);
                let params = params.transpose().map_err(in_params)?.unwrap_or_default();
                Ok(Reading::Event(ServerEvent::Params(id, params)))
            }
            Step::EndAgain => Ok(Reading::Dropped),
        }
    }

    fn read_stream(&mut self, header: Header, stream: InputStream) -> Result<Reading, Violation> {
        let Some((id, step)) = self.receive_step(header, stream)? else {
            return Ok(Reading::skipped(self.reader.skip()));
        };
        let Some(content) = self.reader.piece() else { return Ok(Reading::Incomplete) };
        let is_data = stream == InputStream::Data;
        Ok(match step {
            Step::Content if is_data => Reading::Event(ServerEvent::Data(id, content)),
            Step::Content => Reading::Event(ServerEvent::Stdin(id, content)),
            Step::End if is_data => Reading::Event(ServerEvent::DataEnd(id)),
            Step::End => Reading::Event(ServerEvent::StdinEnd(id)),
            Step::EndAgain => Reading::Dropped,
        })
    }

    /// What the record does to its stream. `None` when its content means nothing: the request is not in progress, or
    /// was aborted.
    // FastCGI 1.0 3.3: while a request id is inactive the application ignores its records, but for BEGIN_REQUEST.
    fn receive_step(
        &mut self,
        header: Header,
        stream: InputStream,
    ) -> Result<Option<(RequestId, Step)>, Violation> {
        let id = request_id(header)?;
        let Some(request) = self.requests.get_mut(id).filter(|request| !request.aborted) else {
            return Ok(None);
        };
        let step = request.input.step(stream, header.content_length == 0);
        let step = step.map_err(|OutOfTurn(awaited)| Violation::OutOfOrder {
            found: header.record_type,
            id,
            role: request.input.role,
            awaited: awaited.map(InputStream::record_type),
        })?;
        Ok(Some((id, step)))
    }

    fn read_get_values(&mut self, header: Header) -> Result<Reading, Violation> {
        check_management(header, self.limits.max_management_bytes)?;
        let Some(content) = self.reader.whole() else { return Ok(Reading::Incomplete) };
        let record_type = header.record_type;
        let asked = read_values(&content).map_err(|fault| Violation::Values { record_type, fault })?;
        let mut record = BytesMut::new();
        put_management(&mut record, RecordType::GetValuesResult, &answer_content(&asked, &self.capabilities));
        Ok(answer(AnswerReason::Values, record))
    }

    fn check_end(&self) -> Result<(), Violation> {
        let requests = self.requests.values().filter(|request| !request.input.is_complete()).count();
        let missing_bytes = self.reader.missing_bytes();
        if requests == 0 && missing_bytes == 0 {
            return Ok(());
        }
        Err(Violation::Truncated { requests, missing_bytes })
    }
}

fn request_id(header: Header) -> Result<RequestId, Violation> {
    RequestId::new(header.request_id).ok_or(Violation::NullId { record_type: header.record_type })
}

fn answer(reason: AnswerReason, record: BytesMut) -> Reading {
    Reading::Event(ServerEvent::Answer(Answer { reason, bytes: record.freeze() }))
}

fn unknown_type(number: u8) -> Reading {
    let mut record = BytesMut::new();
    put_unknown_type(&mut record, number);
    answer(AnswerReason::UnknownType(number), record)
}
