-- The second and later copies of a trade within one file: the same values are a duplicate, others a conflict with the first.
update judged as later
set
    verdict = case
        when
            {same_as_first} and (later.event_time = first.event_time or later.time_source = 'local')
            then 'duplicate'
        else 'conflict'
    end,
    (stored_time, {kept_names}) = (first.event_time, {first_values})
from judged as first
where
    later.verdict = 'again'
    and first.copy = 1 and first.instrument = later.instrument and first.sequence = later.sequence;
