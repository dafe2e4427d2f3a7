"""The words for parameters: a grammar in three manners of speech.

Every kind of fact has up to three rules: `np.<kind>`, a noun phrase that fits after "with" and "has"; `kv.<kind>`, a
key and a value, for lists and tables; `vp.<kind>`, a verb phrase that fits after the name of the object. Where a kind
has no `kv` rule its `np` serves, where it has no `vp` rule "has" and its `np` do. The first alternative of each rule
is the plain one.
"""

from __future__ import annotations

import re

from vlsm_jax.synth.prompts.grammar import Grammar, Rules

RULES: Rules = {
    # Durations: {noun} is "process time", {a_noun} has its article.
    "np.time": (
        "{a_noun} of {value}",
        "a fixed {noun} of {value}",
        "a constant {noun} of {value}",
        "{a_noun} fixed at {value}",
        "{a_noun} set to {value}",
    ),
    "kv.time": (
        "{noun} {value}",
        "{noun}: {value}",
        "{noun} = {value}",
        "{noun} of {value}",
        "fixed {noun} {value}",
        "{noun} {value} (fixed)",
        "constant {noun} of {value}",
    ),
    "np.random": (
        "{a_adj} {noun} ({details})",
        "{a_noun} that follows {a_adj} distribution ({details})",
        "{a_noun} drawn from {a_adj} distribution ({details})",
        "{a_adj} distribution ({details}) for the {noun}",
        "{a_adv} distributed {noun} ({details})",
        "{a_noun} that is {adv} distributed ({details})",
        "{a_noun} with {a_adj} distribution ({details})",
        "{a_noun} from {a_adj} distribution with {list}",
        "{a_adj} {noun} with {list}",
    ),
    "kv.random": (
        "{noun} {adj} ({details})",
        "{noun}: {adj} ({details})",
        "{noun} = {adj} ({details})",
        "{adj} {noun} ({details})",
        "{noun} {adv} distributed ({details})",
        "{noun} from {a_adj} distribution ({details})",
        "{noun}: {adv} distributed with {list}",
    ),
    "np.uniform": ("{a_adj} {noun} {between}", "{a_noun} that is {adv} distributed {between}", "{np.random}"),
    "kv.uniform": ("{noun} {adj} {between}", "{noun}: {adv} distributed {between}", "{kv.random}"),
    "np.flexscript": ("{a_noun} of {value} in FlexScript", "{a_noun} given by {value} in FlexScript"),
    # Arrivals.
    "vp.arrival.time": (
        "[releases|release] one item every {value}",
        "[releases|release] {item} with {np.time}",
        "[creates|create] an item every {value}",
        "[sends|send] in one item every {value}",
        "[lets|let] a new item in every {value}",
        "[generates|generate] {item} with {np.time}",
        "[has|have] {np.time}",
    ),
    "vp.arrival.random": (
        "[releases|release] {item} with {np.random}",
        "[releases|release] {item} with {adv} distributed interarrival times ({details})",
        "[creates|create] {item} with {np.random}",
        "[generates|generate] {item} with {np.random}",
        "[sends|send] in {item} with {np.random}",
        "[has|have] {np.random}",
    ),
    "vp.arrival.uniform": ("[releases|release] {item} with {np.uniform}", "[has|have] {np.uniform}"),
    # Rates stand for a gap: 60 per hour is one every 60 s. Only a constant or an exponential gap is told like this.
    "rate": ("{number} per {period}", "{number} {item} per {period}", "{number} {item} an {period}"),
    "rate.minute": ("{number} per {period}", "{number} {item} per {period}", "{number} {item} a {period}"),
    "np.rate.time": (
        "a fixed arrival rate of {rate}",
        "a constant arrival rate of {rate}",
        "evenly spaced arrivals at {rate}",
    ),
    "np.rate.random": (
        "exponentially distributed interarrival times at {rate} on average",
        "an exponential interarrival time at an arrival rate of {rate}",
        "exponential interarrival times at a mean rate of {rate}",
    ),
    "kv.rate.time": ("fixed arrival rate {rate}", "arrival rate: {rate} (evenly spaced)", "{np.rate.time}"),
    "kv.rate.random": ("exponential interarrival times, {rate} on average", "{np.rate.random}"),
    "vp.rate.time": (
        "[releases|release] exactly {rate} (evenly spaced)",
        "[releases|release] items at a fixed arrival rate of {rate}",
        "[has|have] {np.rate.time}",
    ),
    "vp.rate.random": (
        "[releases|release] items with {np.rate.random}",
        "[lets|let] items in with {np.rate.random}",
        "[has|have] {np.rate.random}",
    ),
    # Work.
    "vp.process.time": (
        "[takes|take] {value} per item",
        "[works|work] {value} on each item",
        "[needs|need] {value} to process an item",
        "[processes|process] each item for {value}",
        "[processes|process] an item in {value}",
        "[spends|spend] {value} on each item",
        "[has|have] {np.time}",
    ),
    "vp.process.random": (
        "[works|work] on each item for {a_adj} time ({details})",
        "[processes|process] items with {np.random}",
        "[processes|process] each item for {a_adv} distributed time ({details})",
        "[has|have] {np.random}",
    ),
    "vp.process.uniform": ("[processes|process] items with {np.uniform}", "[has|have] {np.uniform}"),
    "vp.setup.time": (
        "[needs|need] {value} of setup per item",
        "[is|are] set up for {value} before each item",
        "[takes|take] {value} to set up for each item",
        "[has|have] {np.time}",
    ),
    # Room.
    "np.capacity.Queue": (
        "a capacity of {n}",
        "a maximum content of {n}",
        "room for up to {items}",
        "room for {items}",
    ),
    "np.capacity.Processor": (
        "a capacity of {n}",
        "a maximum content of {n}",
        "room for up to {items} at a time",
        "room for {items} at once",
    ),
    "np.capacity.Rack": (
        "a capacity of {n}",
        "storage for up to {items}",
        "a maximum content of {n}",
        "room for {items}",
    ),
    "np.capacity.executer": ("a capacity of {n}", "a load capacity of {items}", "room for {items}"),
    "kv.capacity": ("capacity {n}", "capacity: {n}", "capacity = {n}", "maximum content {n}", "max content {n}"),
    "vp.capacity.Queue": (
        "[holds|hold] up to {items}",
        "[has|have] room for {items}",
        "[holds|hold] at most {items}",
        "[can|can] hold {items}",
        "[is|are] limited to {items}",
    ),
    "vp.capacity.Processor": (
        "[works|work] on up to {items} at a time",
        "[processes|process] up to {items} at once",
        "[holds|hold] up to {items} together",
        "[can|can] hold {items} at a time",
    ),
    "vp.capacity.Rack": ("[stores|store] up to {items}", "[holds|hold] up to {items}", "[has|have] room for {items}"),
    "vp.capacity.executer": ("[carries|carry] up to {items} at a time", "[can|can] carry {items} at once"),
    # Looks of a Queue.
    "np.placement.Vertically": ("items stacked vertically", "vertical stacking", "vertically stacked items"),
    "np.placement.Line": (
        "items placed in a horizontal line",
        "items lined up horizontally",
        "a horizontal line of items",
    ),
    "np.placement.Inside": ("items stacked inside the queue", "stacking inside the queue"),
    "vp.placement.Vertically": ("[stacks|stack] items vertically", "[piles|pile] items up vertically"),
    "vp.placement.Line": ("[places|place] items in a horizontal line", "[lines|line] items up horizontally"),
    "vp.placement.Inside": ("[stacks|stack] items inside the queue",),
    "np.base": ("a base height of {value}", "a stack base height of {value}", "a stacking base at z = {value}"),
    "kv.base": ("base height {value}", "base height: {value}", "base height = {value}", "stack base height {value}"),
    "vp.base": ("[stacks|stack] from a base height of {value}", "[has|have] {np.base}"),
    # Order and batches.
    "np.lifo": ("LIFO order", "last in, first out order", "LIFO release"),
    "vp.lifo": ("[works|work] last in, first out", "[releases|release] items in LIFO order"),
    "np.fifo": ("FIFO order", "first in, first out order"),
    "np.batch": ("batches of {n}", "batching in groups of {n}", "a batch size of {n}"),
    "kv.batch": ("batch size {n}", "batches of {n}", "batch size: {n}", "batching: groups of {n}"),
    "vp.batch": (
        "[collects|collect] batches of {n}",
        "[passes|pass] items on in batches of {n}",
        "[releases|release] items in batches of {n}",
        "[gathers|gather] items into batches of {n}",
    ),
    # People.
    "np.process_operators": (
        "{crew} for processing",
        "{crew} at work on each item",
        "{crew} per item during processing",
    ),
    "kv.process_operators": ("process operators: {n}", "{crew} for processing", "process operators = {n}"),
    "vp.process_operators": (
        "[needs|need] {crew} for processing",
        "[uses|use] {crew} to process each item",
        "[calls|call] {crew} for processing",
    ),
    "np.setup_operators": ("{crew} for setup", "{crew} during setup"),
    "kv.setup_operators": ("setup operators: {n}", "{crew} for setup", "setup operators = {n}"),
    "vp.setup_operators": ("[needs|need] {crew} for setup", "[uses|use] {crew} to set up"),
    # Transport.
    "np.transport": ("transport for items that leave", "transport to the next object", "transport switched on"),
    "kv.transport": ("transport: on", "transport switched on", "transport: yes"),
    "vp.transport": ("[uses|use] transport for items that leave", "[calls|call] for transport to the next object"),
    # Where items go: by name, the lower port first, since a sketch shows no ports; by port where objects share it.
    "np.even": (
        "items sent to a random output port ({low} to {high}, equally likely)",
        "an output port chosen uniformly at random from {low} to {high}",
        "an even random choice of output port ({low} to {high})",
    ),
    "vp.even": (
        "[sends|send] items to a random output port ({low} to {high}, equally likely)",
        "[chooses|choose] an output port from {low} to {high} at random",
        "[picks|pick] one of output ports {low} to {high} at random",
    ),
    "np.even.named": (
        "items split evenly at random over {outputs}",
        "an even random choice of {outputs}",
    ),
    "vp.even.named": (
        "[splits|split] items evenly at random over {outputs}",
        "[sends|send] each item to {choices} at random, all equally likely",
        "[distributes|distribute] items evenly at random to {outputs}",
    ),
    "np.share": (
        "{percent} of the items sent to output port {first} and the rest to port {second}",
        "{percent} of the items leaving by output port {first}, the others by port {second}",
    ),
    "vp.share": (
        "[sends|send] {percent} of the items to output port {first} and the rest to port {second}",
        "[routes|route] {percent} of the items to output port {first} and the others to port {second}",
    ),
    "np.share.named": (
        "{percent} of the items going to {first} and {rest} to {second}",
        "{percent} of the output for {first} and {rest} for {second}",
    ),
    "vp.share.named": (
        "[sends|send] {percent} of the items to {first} and {rest} to {second}",
        "[routes|route] {percent} of the items to {first}, {rest} to {second}",
        "[passes|pass] {percent} of the items on to {first} and the other {rest} to {second}",
    ),
    "np.rework": (
        "a yield of {percent} to {first} and {rest} going back to {second}",
        "{percent} of the items going on to {first} and {rest} back to {second}",
        "{percent} good items that go to {first} and {rest} that return to {second}",
    ),
    "vp.rework": (
        "[passes|pass] {percent} of the items on to {first} and [sends|send] {rest} back to {second}",
        "[sends|send] {percent} of the items to {first} and {rest} back to {second} for rework",
        "[passes|pass] {percent} to {first}; {rest} go back to {second}",
        "[releases|release] {percent} to {first} and [returns|return] {rest} to {second}",
    ),
    # Joining and parting.
    "np.combine": (
        "{mode} mode and {components} for each item from input port 1",
        "combine mode {mode}, taking {components} per item from input port 1",
    ),
    "kv.combine": (
        "{mode} mode; {components} for each item from port 1",
        "{mode} mode, {components} per item from port 1",
    ),
    "vp.combine": (
        "[works|work] in {mode} mode and [takes|take] {components} for each item from input port 1",
        "[combines|combine] {components} with each item from input port 1 ({mode} mode)",
    ),
    "vp.combine.Join": (
        "[joins|join] {components} onto each item from input port 1 (Join mode)",
        "[works|work] in Join mode and [joins|join] {components} onto each item from input port 1",
        "{vp.combine}",
    ),
    "vp.combine.Pack": (
        "[packs|pack] {components} into each item from input port 1 (Pack mode)",
        "{vp.combine}",
    ),
    "vp.combine.Batch": (
        "[batches|batch] {components} with each item from input port 1 (Batch mode)",
        "{vp.combine}",
    ),
    "np.combine.named": (
        "{mode} mode and {components} for each item from {first}",
        "combine mode {mode}, taking {components} per item from {first}",
    ),
    "vp.combine.named": (
        "[works|work] in {mode} mode and [takes|take] {components} for each item from {first}",
        "[combines|combine] {components} with each item from {first} ({mode} mode)",
    ),
    "vp.combine.named.Join": (
        "[joins|join] {components} onto each item from {first} (Join mode)",
        "[works|work] in Join mode and [joins|join] {components} onto each item from {first}",
        "{vp.combine.named}",
    ),
    "vp.combine.named.Pack": (
        "[packs|pack] {components} into each item from {first} (Pack mode)",
        "{vp.combine.named}",
    ),
    "vp.combine.named.Batch": (
        "[batches|batch] {components} with each item from {first} (Batch mode)",
        "{vp.combine.named}",
    ),
    "np.mode": ("{mode} mode", "combine mode {mode}"),
    "vp.mode": ("[works|work] in {mode} mode", "[runs|run] in {mode} mode"),
    "np.components": ("a components list of {components} per item from input port 1",),
    "np.separate_mode": ("{mode} mode", "separate mode {mode}"),
    "vp.separate_mode": ("[works|work] in {mode} mode", "[runs|run] in {mode} mode"),
    "np.split": ("Split mode with a quantity of {n}", "Split mode, making {n} out of each item"),
    "kv.split": ("Split mode, quantity {n}", "mode Split into {n}"),
    "vp.split": (
        "[splits|split] each item into {n} (Split mode)",
        "[turns|turn] each item into {n} in Split mode",
        "[works|work] in Split mode and [makes|make] {n} out of each item",
    ),
    "np.split.random": ("Split mode with a random quantity from {low} to {high}, all equally likely",),
    "vp.split.random": ("[splits|split] each item into {low} to {high}, all equally likely (Split mode)",),
    "np.unpack": ("Unpack mode with a quantity of {n}",),
    "kv.unpack": ("Unpack mode, quantity {n}",),
    "vp.unpack": (
        "[unpacks|unpack] {items} from each container (Unpack mode)",
        "[works|work] in Unpack mode with a quantity of {n}",
    ),
    "np.quantity": ("a separate quantity of {n}",),
    "np.processes": (
        "the processes {processes}, in this order",
        "{number} processes one after the other: {processes}",
        "the process steps {processes}, in this order",
    ),
    "kv.processes": ("processes {processes}", "processes: {processes}", "process table: {processes}"),
    "vp.processes": (
        "[runs|run] the processes {processes} on each item, in this order",
        "[works|work] through the processes {processes}",
        "[does|do] the process steps {processes} one after the other",
    ),
    # Motion.
    "np.belt": ("a speed of {value}", "a belt speed of {value}", "a conveyor speed of {value}"),
    "kv.belt": ("speed {value}", "belt speed {value}", "speed: {value}", "speed = {value}"),
    "vp.belt": ("[runs|run] at {value}", "[moves|move] items at {value}"),
    "np.top": ("a maximum speed of {value}", "a top speed of {value}", "a max speed of {value}"),
    "kv.top": ("max speed {value}", "maximum speed: {value}", "top speed {value}", "max speed = {value}"),
    "vp.top": ("[moves|move] at up to {value}", "[travels|travel] at a maximum speed of {value}"),
    "np.length": ("a length of {value}",),
    "kv.length": ("length {value}", "length: {value}", "length = {value}"),
    "vp.length": ("[is|are] {value} long", "[has|have] a length of {value}"),
    # Whatever has no words of its own.
    "np.other": ("{property} set to {value}",),
    "kv.other": ("{property} set to {value}",),
    "np.code": ("{property} set to the code {value}",),
    "kv.code": ("{property} set to the code {value}",),
}


def _spoken(rule: str, text: str) -> str:
    """Returns a verb phrase with "each" in the plural: two that hold ten items hold ten each."""
    return re.sub(r"^\[([^|\]]*)\|", r"[\1|each ", text) if rule.startswith("vp.") else text


WORDBOOK = Grammar({rule: tuple(_spoken(rule, text) for text in texts) for rule, texts in RULES.items()})

NOUNS = {
    "InterArrivalTime": ("interarrival time", "inter-arrival time", "time between arrivals", "arrival interval"),
    "ProcessTime": ("process time", "processing time", "service time"),
    "SetupTime": ("setup time", "set-up time"),
    "MaxBatchTime": ("maximum batch wait", "batch time limit"),
    "LoadTime": ("load time", "loading time"),
    "UnloadTime": ("unload time", "unloading time"),
    "MoveTime": ("move time", "moving time"),
}
"""What durations are called; none of these stands for two properties."""

MEASURES = {
    "InterArrivalTime": "arrival",
    "ProcessTime": "process",
    "SetupTime": "setup",
}
"""Durations with verbs of their own."""
