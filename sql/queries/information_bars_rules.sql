-- The rules of some kinds that hold for some instruments: of each kind those of the narrowest scope that has any.
select ranked.instrument, ranked.kind, ranked.rule, ranked.threshold
from (
    select
        named.instrument,
        r.kind,
        r.rule,
        r.threshold,
        rank() over (partition by named.instrument, r.kind order by array_position(named.scopes, r.scope)) as place
    from (
        select i.instrument, array[i.instrument, split_part(i.instrument, ':', 1) || ':*', '*'] as scopes
        from unnest(%(instruments)s::text[]) as i (instrument)
    ) as named
    inner join bar_rules as r on r.scope = any(named.scopes) and r.kind = any(%(kinds)s::text[]) and r.withdrawn_at is null
) as ranked
where ranked.place = 1
order by ranked.instrument, ranked.kind, ranked.threshold;
