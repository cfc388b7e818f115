-- Holds, those that stand or all, the last one first.
select
    h.hold_id,
    h.name,
    h.kind,
    h.relation,
    h.instrument,
    h.from_day,
    h.until_day,
    h.reason,
    h.placed_at,
    h.placed_by,
    h.expires_at,
    h.released_at,
    h.released_by,
    h.release_reason
from holds as h
where %(with_ended)s or (h.released_at is null and (h.expires_at is null or h.expires_at > now()))
order by h.hold_id desc;
