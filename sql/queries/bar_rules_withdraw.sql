-- Withdraws the rules of some kinds of a scope, but for those that are named.
update bar_rules
set withdrawn_at = %(known_at)s
where scope = %(scope)s and kind = any(%(kinds)s::text[]) and rule <> all(%(rules)s::text[]) and withdrawn_at is null;
