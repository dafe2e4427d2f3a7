"""The sentences in which prompts tell connections, as patterns over names that are marked."""

MARK = r"⟦\d+⟧"
LIST = rf"{MARK}(?:, {MARK})*(?: and {MARK})?"
MANY = rf"{MARK}(?:, {MARK})* and {MARK}"

ARROW = r"(?: -> | → | > )"
FRAMES = [
    (
        rf"(?:Items flow|The flow goes|From) (?:from )?({MARK}),?(?: items go)? to ({MARK}(?:, then to {MARK})*)\.",
        "chain",
    ),
    (rf"Items pass from ({MARK}) to ({MARK}(?:, from there to {MARK})*)\.", "chain"),
    (rf"Connect ({MARK}) to ({MARK}(?:, then to {MARK})*) in this order\.", "chain"),
    (rf"({MARK}) passes items to ({MARK}(?:, then to {MARK})*)\.", "chain"),
    (rf"({MARK}) feeds ({MARK}(?:, which feeds {MARK})*)\.", "chain"),
    (rf"(?:The order is |Link |Flow: |Route items along )?({MARK}(?:{ARROW}{MARK})+)\.?", "chain"),
    (rf"({MANY}) form a line in this order\.", "chain"),
    (rf"(?:Connect|Link) ({MARK}) to ({MARK})\.", "chain"),
    (rf"({MARK}) is connected to ({MARK})\.", "chain"),
    (rf"Items go from ({MARK}) to ({MARK})\.", "chain"),
    (rf"The output of ({MARK}) goes to ({MARK})\.", "chain"),
    (rf"({MARK}) sends its items to ({MARK})\.", "chain"),
    (rf"({MARK}) (?:is fed by|receives items from) ({LIST})(?:, in this order)?\.", "from"),
    (rf"({MARK}) (?:feeds|supplies|splits the flow to) ({LIST})(?:, in this port order)?\.", "to"),
    (rf"({MARK}) is connected to each of ({MANY})\.", "to"),
    (rf"From ({MARK}), items can go to ({MANY})\.", "to"),
    (rf"Connect ({MARK}) to ({MANY}), in this order\.", "to"),
    (rf"The outputs of ({MARK}) are ({MANY}), in port order\.", "to"),
    (rf"({MANY}) are fed by ({MARK})\.", "from"),
    (rf"({MARK}){ARROW}({MARK}(?:, {MARK})*(?: and {MARK})?)\.?", "to"),
    (rf"({MARK}(?:, {MARK})*(?: and {MARK})?){ARROW}({MARK})\.?", "to"),
    (rf"({MANY}) feed ({MARK})\.", "to"),
    (rf"The outputs of ({MANY}) are connected to ({MARK})\.", "to"),
    (rf"({MANY}) (?:(?:both|all) lead to|merge into) ({MARK})\.", "to"),
    (rf"(?:Connect|Items from) ({MANY}) (?:go )?to ({MARK})\.", "to"),
    (rf"(?:Connect )?({MANY}) (?:feed|pass items to|to) ({MANY}), respectively\.", "zip"),
    (rf"({MANY}) are fed by ({MANY}), respectively\.", "gnirts"),
    (rf"(?:Likewise|One to one), ({MARK} feeds {MARK}(?:(?:, | and ){MARK} feeds {MARK})*)\.", "pairs"),
    (rf"({MARK}) (?:dispatches|sends tasks to|gives its tasks to) ({LIST})\.", "to"),
    (rf"({LIST}) (?:takes?|belongs?) (?:tasks from|to the team of) ({MARK})\.", "from"),
    (rf"Join the center ports of ({MARK}) and ({MARK})\.", "center"),
    (rf"({MARK}) and ({MARK}) are joined by a center port connection\.", "center"),
    (rf"Make a center port connection between ({MARK}) and ({MARK})\.", "center"),
    (rf"({LIST}) <-> ({MARK}(?:, {MARK})*)", "center"),
    (rf"({MARK}(?:, {MARK})*) <-> ({MARK})", "center"),
    (
        rf"({MARK}) (?:serves|works for|operates|works at) ({LIST})\.",
        "served",
    ),
    (
        rf"({MARK}) (?:carries the items that leave|moves items away from) ({LIST})\.",
        "served",
    ),
    (rf"({MARK}) is called by ({LIST}) \(center ports\)\.", "served"),
    (rf"({LIST}) (?:is|are) (?:served|staffed) by ({LIST})\.", "center"),
    (rf"({LIST}) calls? ({MARK}) as operator\.", "center"),
    (rf"({LIST}) uses? ({MARK}) for transport\.", "center"),
    (rf"Transport from ({LIST}) is done by ({MARK})\.", "center"),
    (rf"Connect ({LIST}) to ({LIST}) by center ports\.", "center"),
    (rf"({MARK}) calls on ({LIST}), in this order\.", "center"),
]
