-- The gaps of a window of time, by instrument, stream and time.
select
    g.gap_id,
    g.instrument,
    g.stream,
    g.kind,
    g.from_time,
    g.to_time,
    g.first_missing,
    g.last_missing,
    g.cause,
    g.state,
    g.first_seen,
    g.changed_at,
    g.attempts,
    g.next_attempt_at,
    g.last_reason,
    g.healed_at,
    g.accepted_at,
    g.accepted_by,
    g.accepted_reason,
    g.evidence
from gaps as g
where
    (%(instrument)s::text is null or g.instrument = %(instrument)s)
    and (%(since)s::timestamptz is null or g.to_time > %(since)s)
    and (%(until)s::timestamptz is null or g.from_time < %(until)s)
    and (%(state)s::text is null or g.state = any(string_to_array(%(state)s, ',')))
    and (%(gap_id)s::bigint is null or g.gap_id = %(gap_id)s::bigint)
order by g.instrument, g.stream, g.from_time, g.first_missing, g.gap_id;
