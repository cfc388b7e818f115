-- Says of the instruments of a stream and day, or of some of them, whether their rows are in the database.
update coverage set
    is_dropped = %(is_dropped)s,
    updated_at = clock_timestamp()
where
    stream = %(stream)s and day = %(day)s and is_dropped <> %(is_dropped)s
    and (%(instruments)s::text[] is null or instrument = any(%(instruments)s));
