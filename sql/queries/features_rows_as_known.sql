-- Rows of features of some instruments, or all, that closed in a window, its end among it, as they were believed at a time,
-- as far as the database holds them.
select {columns}
from {table} as f
where
    (%(instruments)s::text[] is null or f.instrument = any(%(instruments)s))
    and f.event_time >= %(since)s and f.event_time <= %(until)s and f.known_at <= %(as_known_at)s
    and {held}
union all
select {columns}
from feature_revisions_1m as r
where
    (%(instruments)s::text[] is null or r.instrument = any(%(instruments)s))
    and r.event_time >= %(since)s and r.event_time <= %(until)s
    and r.known_at <= %(as_known_at)s and r.believed_until > %(as_known_at)s
    and {revisions_held};
