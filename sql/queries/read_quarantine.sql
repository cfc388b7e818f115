-- What was refused on the days that the window touches, with the name of the file it stood in.
select
    q.quarantine_id,
    q.file_id,
    q.line,
    q.day,
    q.reason,
    q.detail,
    q.raw,
    q.instrument,
    q.event_time,
    q.sequence,
    q.after_time,
    q.before_time,
    q.state,
    q.batch_id,
    q.quarantined_at,
    q.replayed_at,
    f.name as file_name
from quarantine as q
inner join landing_files as f on q.file_id = f.file_id
where
    (%(instrument)s::text is null or q.instrument = %(instrument)s)
    and (%(reason)s::text is null or q.reason = %(reason)s)
    and (%(state)s::text is null or q.state = %(state)s)
    and (%(since)s::timestamptz is null or (q.day + 1)::timestamp at time zone 'UTC' > %(since)s)
    and (%(until)s::timestamptz is null or q.day::timestamp at time zone 'UTC' < %(until)s)
order by q.day, q.file_id, q.line;
