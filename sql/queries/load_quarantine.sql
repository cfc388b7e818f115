-- Puts refused rows into quarantine; a line that waits there already keeps its place.
insert into quarantine (
    file_id, line, day, reason, detail, raw, instrument, event_time, sequence, after_time, before_time, batch_id, quarantined_at
)
select
    %(file_id)s, r.line, %(day)s, r.reason, r.detail, r.raw, r.instrument, r.event_time, r.sequence, r.after_time, r.before_time,
    %(batch_id)s, %(known_at)s
from
    unnest(
        %(line)s::bigint[], %(reason)s::text[], %(detail)s::text[], %(raw)s::text[], %(instrument)s::text[],
        %(event_time)s::timestamptz[], %(sequence)s::bigint[], %(after_time)s::timestamptz[], %(before_time)s::timestamptz[]
    ) as r (line, reason, detail, raw, instrument, event_time, sequence, after_time, before_time)
on conflict on constraint quarantine_place do update
    set
        day = excluded.day, reason = excluded.reason, detail = excluded.detail, instrument = excluded.instrument,
        event_time = excluded.event_time,
        sequence = excluded.sequence,
        after_time = excluded.after_time,
        before_time = excluded.before_time,
        state = 'quarantined', replayed_at = null
    where
    (quarantine.day, quarantine.reason, quarantine.detail, quarantine.state)
    is distinct from (excluded.day, excluded.reason, excluded.detail, 'quarantined');
