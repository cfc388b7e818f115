-- How often a cause was opened lately, this time included.
select count(*)
from alerts as a
where a.opened_at > %(since)s and jsonb_exists_any(a.detail -> 'members', %(members)s);
