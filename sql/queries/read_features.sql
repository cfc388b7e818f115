-- The features of one instrument, as the contract has them; as_known_at null for what is known now.
select {columns}
from (
    select
        {columns},
        null::timestamptz as believed_until
    from features_1m
    union all
    select
        {columns},
        believed_until
    from feature_revisions_1m
) as f
where
    {is_here} and f.instrument = %(instrument)s and f.event_time >= %(since)s and f.event_time < %(until)s
    and case
        when %(as_known_at)s::timestamptz is null then f.believed_until is null
        else f.known_at <= %(as_known_at)s and (f.believed_until is null or f.believed_until > %(as_known_at)s)
    end
order by f.event_time;
