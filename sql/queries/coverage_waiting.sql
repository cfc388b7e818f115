-- A file's rows of a day that are still refused, so that what they say is missing: all but those whose trade is stored with other values.
select q.sequence, q.event_time, q.after_time, q.before_time
from quarantine as q
where
    q.file_id = %(file_id)s and q.day = %(day)s and q.state = 'quarantined' and q.reason <> 'conflict'
    and (q.instrument is null or q.instrument = %(instrument)s);
