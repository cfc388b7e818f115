-- Rows of features of some instruments, or all, that closed in a window, its end among it, as far as the
-- database holds them.
select {columns}
from {table} as f
where
    (%(instruments)s::text[] is null or f.instrument = any(%(instruments)s))
    and f.event_time >= %(since)s and f.event_time <= %(until)s
    and {held};
