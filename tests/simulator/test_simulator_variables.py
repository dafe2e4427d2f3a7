"""Old variables: each with its property, each default, the sizes of the classes, and the constants of FlexSim."""

import pytest

from vlsm_jax.simulator import build, classes
from vlsm_jax.simulator.constants import constants

FLOW = ("Source", "Queue", "Processor", "Combiner", "Separator", "MultiProcessor", "BasicFR", "Rack", "FloorStorage")
PROCESSORS = ("Processor", "Combiner", "Separator")
EXECUTERS = ("TaskExecuter", "Operator", "Transporter", "Robot", "Crane", "ASRSvehicle", "Elevator")
DISPATCHERS = ("Dispatcher", *EXECUTERS)

# Classes, then variable=Property of each of them.
PAIRS = (
    (FLOW, "sendtoport=SendToPort pull=Pull receivefromport=PullStrategy pullrequirement=PullRequirement "
           "usetransport=UseTransport transportdispatcher=TransportRef transportpriority=TransportPriority "
           "preempttransport=TransportPreempt entrytrigger=Triggers.OnEntry exittrigger=Triggers.OnExit "
           "resettrigger=Triggers.OnReset messagetrigger=Triggers.OnMessage"),
    (("Source",), "interarrivaltime=InterArrivalTime arrivalmode=ArrivalStyle timezerocreate=TimeZeroArrival "
                  "itemclass=FlowItemClass repeat=RepeatTable schedule=ArrivalSchedule sequence=ArrivalSequence "
                  "creationtrigger=Triggers.OnCreation"),
    (("Queue",), "maxcontent=MaxContent usebatching=DoBatching batchsize=BatchSize maxwaittime=MaxBatchTime "
                 "flush=FlushContent placemode=ItemPlacement stackinitz=StackBaseZ lifo=LIFO "
                 "endcollectingtrigger=Triggers.OnEndCollecting"),
    (PROCESSORS, "cycletime=ProcessTime setuptime=SetupTime maxcontent=MaxContent "
                 "useprocessoperators=UseProcessOperators usesetupoperators=UseSetupOperators "
                 "nrofprocessoperators=NumProcessOperators nrofsetupoperators=NumSetupOperators "
                 "usesameop=UseSameNumOperators processdispatcher=OperatorRef processoperatorpriority=OperatorPriority "
                 "preemptprocessoperators=OperatorPreempt convey=AnimateItems "
                 "processfinishtrigger=Triggers.OnProcessFinish setupfinishtrigger=Triggers.OnSetupFinish"),
    (("Combiner",), "pack=CombineMode componentlist=ComponentsList"),
    (("Separator",), "unpack=SeparateMode splitquantity=SeparateQty"),
    (("Sink",), "entrytrigger=Triggers.OnEntry exittrigger=Triggers.OnExit resettrigger=Triggers.OnReset "
                "messagetrigger=Triggers.OnMessage"),
    (EXECUTERS, "maxcontent=Capacity maxspeed=MaxSpeed acceleration=Acceleration deceleration=Deceleration "
                "loadtime=LoadTime unloadtime=UnloadTime useoffsets=OffsetTravel modifyrotation=RotateTraveling "
                "flipthreshold=FlipThreshold availableonstart=AvailableOnStart breakto=BreakTo forkspeed=LiftSpeed"),
    (DISPATCHERS, "passto=PassTo queuestrategy=QueueStrategy"),
    (("Robot",), "motionmethod=MotionMode movetime=MoveTime extensionspeed=ExtensionSpeed "
                 "rotationspeed=ZRotationSpeed yrotspeed=YRotationSpeed speedtable=JointSpeeds"),
    (("Crane",), "travelsequence=TravelSequence cranespeeds=CraneSpeeds liftheight=LiftHeight liftradius=LiftRadius"),
    (("ASRSvehicle",), "forkinitialheight=InitialLiftHeight extensionspeed=ExtensionSpeed"),
    (("Rack", "FloorStorage"), "enableFRLogic=UseAsFixedResource minimumstaytime=MinimumDwellTime "
                               "slotAssignment=SlotAssignmentStrategy maxcontent=MaxContent"),
    (("StraightConveyor",), "length=HorizontalLength width=Width speed=Speed rise=Rise accumType=IsAccumulating "
                            "acceleration=Acceleration deceleration=Deceleration "
                            "stopSpaceSizeFactor=StopSpaceSizeFactor moveSpaceSizeFactor=MoveSpaceSizeFactor "
                            "entrySpaceSizeFactor=EntrySpaceSizeFactor stopSpacePadding=StopSpacePadding "
                            "moveSpacePadding=MoveSpacePadding entrySpacePadding=EntrySpacePadding"),
    (("Station",), "processTime=ProcessTime numOperators=NumOperators"),
    (("ExitTransfer",), "stopAtEnd=StopAtEnd"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "name", "owners"),
    [
        pytest.param(*pair.split("="), owners, id=f"{owners[0]}-{pair}")
        for owners, pairs in PAIRS
        for pair in pairs.split()
    ],
)
def test_variable_and_property(variable, name, owners):
    for cls in owners:
        assert classes()[cls].variables[variable] == name


def test_code_set_through_a_variable_runs():
    script = """
    Object s = Object.create("Source"); s.name = "In"; Object k = Object.create("Sink"); k.name = "Out";
    setvarstr(k, "entrytrigger", "print(1);"); setvarstr(s, "creationtrigger", "print(2);");
    """
    parameters = [dict(each.parameters) for each in build(script).twin.objects]
    assert [list(each) for each in parameters] == [["Triggers.OnCreation"], ["Triggers.OnEntry"]]


RESOURCE = {
    "receivefromport": 0, "sendtoport": 0, "pullrequirement": 1, "usetransport": 0, "transportpriority": 0,
    "preempttransport": 0, "nroftransportsin": 0, "nroftransportsout": 0, "sendtocontinuous": 0, "pullcontinuous": 0,
    "lifo": 0, "nrreleased": 0,
}  # fmt: skip
CENTER = "return current.centerObjects[1];"
STATION = {
    "setuptime": 0, "maxcontent": 1, "useprocessoperators": 0, "usesetupoperators": 0, "nrofprocessoperators": 1,
    "nrofsetupoperators": 1, "usesameop": 1, "processoperatorpriority": 0, "preemptprocessoperators": 0,
    "processdispatcher": CENTER, "transportdispatcher": CENTER,
}  # fmt: skip
EXECUTER = {
    "maxcontent": 1, "loadtime": 0, "unloadtime": 0, "maxspeed": 2, "acceleration": 1, "deceleration": 1,
    "useoffsets": 1, "modifyrotation": 1, "flipthreshold": 180, "availableonstart": 1,
    "breakto": "New Tasksequences Only", "passto": 0, "queuestrategy": "return taskSequence.priority;",
    "passimmediately": 0,
}  # fmt: skip
STORE = {"maxcontent": 1e9, "minimumstaytime": 0, "pull": 1}
DEFAULTS = {
    "Source": {**RESOURCE, "pull": 0, "transportdispatcher": CENTER, "arrivalmode": 1, "timezerocreate": 0,
               "itemclass": 1, "repeat": 0, "interarrivaltime": "return exponential(0, 10, getstream(current));"},
    "Queue": {**RESOURCE, "pull": 0, "transportdispatcher": CENTER, "maxcontent": 1000, "usebatching": 0,
              "batchsize": 2, "maxwaittime": 0, "flush": 0, "placemode": 3, "stackinitz": 0.1},
    "Processor": {**RESOURCE, "pull": 0, **STATION, "cycletime": 10, "convey": 1},
    "Combiner": {**RESOURCE, "pull": 0, **STATION, "cycletime": 10, "convey": 0, "pack": 1, "collectingcontainer": 1,
                 "recycle": 0},
    "Separator": {**RESOURCE, "pull": 0, **STATION, "cycletime": 10, "unpack": 1, "recycle": 0},
    "MultiProcessor": {**RESOURCE, "pull": 0},
    "BasicFR": {**RESOURCE, "pull": 0},
    "Rack": {**RESOURCE, **STORE},
    "FloorStorage": {**RESOURCE, **STORE},
    "Sink": {**RESOURCE, "pull": 0, "recycle": 1},
    **dict.fromkeys(EXECUTERS, EXECUTER),
    "Transporter": {**EXECUTER, "forkspeed": 1, "forktravel": 1},
    "Crane": {**EXECUTER, "travelsequence": "L>XY>D"},
    "Dispatcher": {key: EXECUTER[key] for key in ("passto", "queuestrategy", "passimmediately")},
    "Conveyor::StraightConveyor": {
        "width": 1, "speed": 1, "rise": 0, "accumType": 1, "acceleration": 0, "deceleration": 0,
        "stopSpaceSizeFactor": 1, "moveSpaceSizeFactor": 1, "entrySpaceSizeFactor": 1, "stopSpacePadding": 0,
        "moveSpacePadding": 0, "entrySpacePadding": 0,
    },
    "Conveyor::Station": {"processTime": 2, "numOperators": 1},
    "Conveyor::EntryTransfer": {**RESOURCE, "pull": 0},
    "Conveyor::ExitTransfer": {**RESOURCE, "pull": 0, "stopAtEnd": 1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "variable", "value"),
    [(cls, variable, value) for cls, values in DEFAULTS.items() for variable, value in values.items()],
)
def test_default_of_a_variable(cls, variable, value):
    command = "getvarstr" if isinstance(value, str) else "getvarnum"
    result = build(f'Object x = Object.create("{cls}"); x.name = "x"; print({command}(x, "{variable}"));')
    assert not result.diagnostics
    (shown,) = result.output
    assert (shown if isinstance(value, str) else float(shown)) == value


def test_default_tables_of_a_source():
    script = 'Object x = Object.create("Source"); x.name = "x"; Table a = x.find(">variables/schedule"); '
    script += 'Table b = x.find(">variables/sequence"); print(a.clone(), a.getColHeader(1), a.getColHeader(2), '
    script += "a.getColHeader(3), b.numCols, b.getColHeader(1), b.getColHeader(2), b[1][2]);"
    rows = "Array[1]: {Array[3]: {0,Product,1}}"
    assert build(script).output == (f"{rows} ArrivalTime ItemName Quantity 2 ItemName Quantity 1",)


@pytest.mark.parametrize(
    ("cls", "size"),
    [
        ("Source", "1.055 1.055 0.521"), ("Queue", "2 2 0.2"), ("Processor", "4 3 2"), ("Sink", "1.055 1.055 0.528"),
        ("Combiner", "4.018 3.011 1.393"), ("Dispatcher", "0.955 1.498 2.258"), ("TaskExecuter", "2 1 1"),
        ("Operator", "0.4 0.58 1.78"), ("Transporter", "2.378 1.371 2.496"), ("Rack", "10 1.5 1"),
        ("FloorStorage", "10 10 1"),
    ],
)  # fmt: skip
def test_default_size(cls, size):
    script = f'Object x = Object.create("{cls}"); x.name = "x"; print(x.size.x, x.size.y, x.size.z);'
    assert build(script).output == (size,)


@pytest.mark.parametrize(
    ("number", "name"), list(enumerate(("Box", "Cylinder", "Sphere", "Pallet", "Tote", "Man", "Woman", "Truck"), 1))
)
def test_flow_item_class(number, name):
    script = f'Object x = Object.create("Source"); x.name = "x"; x.setProperty("FlowItemClass", "{name}");'
    script += 'print(getvarnum(x, "itemclass")); setvarnum(x, "itemclass", 2);'
    script += f'setvarnum(x, "itemclass", {number}); print(x.getProperty("FlowItemClass"));'
    assert build(script).output == (str(number), name)


# --- Constants --------------------------------------------------------------------------------------------------------

CONSTANTS = {
    "STATE_": "IDLE=1 PROCESSING=2 BUSY=3 BLOCKED=4 GENERATING=5 EMPTY=6 COLLECTING=7 RELEASING=8 "
              "WAITING_FOR_OPERATOR=9 WAITING_FOR_TRANSPORT=10 BREAKDOWN=11 SCHEDULED_DOWN=12 CONVEYING=13 "
              "TRAVEL_EMPTY=14 TRAVEL_LOADED=15 OFFSET_TRAVEL_EMPTY=16 OFFSET_TRAVEL_LOADED=17 LOADING=18 "
              "UNLOADING=19 DOWN=20 SETUP=21 UTILIZE=22 FULL=23 NOT_EMPTY=24 FILLING=25 STARVED=26 MIXING=27 "
              "FLOWING=28 ALLOCATED_IDLE=29 OFF_SHIFT=30 CHANGE_OVER=31 REPAIR=32 MAINTENANCE=33 LUNCH=34 ON_BREAK=35 "
              "SUSPEND=36 AVAILABLE=37 PREPROCESSING=38 POSTPROCESSING=39 INSPECTING=40 OPERATING=41 STANDBY=42 "
              "PURGING=43 CLEANING=44 ACCELERATING=45 MAXSPEED=46 DECELERATING=47 STOPPED=48 WAITING=49 "
              "ACCUMULATING=50 END=51 PROFILE_CURRENT=1 PROFILE_SINCE=2 PROFILE_LIST=3",
    "TASKTYPE_": "LOAD=1 FRLOAD=2 UNLOAD=3 FRUNLOAD=4 UTILIZE=5 STOPREQUESTBEGIN=6 STOPREQUESTFINISH=7 TRAVEL=8 "
                 "TRAVELTOLOC=9 TRAVELRELATIVE=10 BREAK=11 DELAY=12 SENDMESSAGE=13 TE_ALLOCATED=14 MOVEOBJECT=15 "
                 "DESTROYOBJECT=16 SETNODENUM=17 PICKOFFSET=18 PLACEOFFSET=19 TAG=20 CT_ALLOCATE=21 CT_DEALLOCATE=22 "
                 "CT_SYNC=23 CALLSUBTASKS=24 TE_RETURN=25 TE_STOP=26 MILESTONE=27 CT_MULTIALLOCATE=28 NODEFUNCTION=29 "
                 "STARTANIMATION=30 STOPANIMATION=31 FREEOPERATORS=32 WAITFORTASK=33 MESSAGE=34",
    "EVENT_": "OPENINPUTS=1 OPENOUTPUTS=2 PROCESSFINISH=3 CREATEPART=4 DESTROYPRODUCT=5 CONVEYEND=6 BEGINLOADTIME=7 "
              "BEGINUNLOADTIME=8 ENDLOADTIME=9 ENDUNLOADTIME=10 ENDDELAYTIME=11 BEGINDOWNTIME=12 ENDDOWNTIME=13 "
              "ENDDOWNTIMENORESUME=14 ENDWAITTIME=15 MEETBATCHQTY=16 ENDTRAVELTIME=17 ENDSETUP=18 SENDMESSAGE=19 "
              "RECORDER_LISTEN=20 COLLISIONCHECK=21 STARTLOADTIME=22 STARTUNLOADTIME=23 USEROPENOUTPUT=24 "
              "USEROPENINPUT=25 TICK=26 TRAVELERBLOCKED=27 STARTSIMULATION=28 ENDCHANGEOVER=29 BEGINRUN=30 "
              "NEXTTIME=31 RELEASEPALLET=32 CONV_AT_BLOCKED_LENGTH=33 PE_GREEN=34 PE_YELLOW=35 PE_RED=36 MSHOLD=37 "
              "MSLOOPITEM=38 DP_COVER_FRONT=39 DP_CLEAR_BACK=40 DP_CLEAR_BACK_SPACE=41 REPEAT=42 FIREEVENT=43 "
              "ENDFORKTRAVELTIME=44",
    "FRSTATE_": "INQUEUE=1 READY=2 MOVEREQUESTED=3",
    "PREEMPT_": "NOT=0 ONLY=1 AND_ABORT_ACTIVE=2 AND_ABORT_ALL=3",
    "CLASSTYPE_": "FLEXSIMOBJECT=2 FIXEDRESOURCE=4 DISPATCHER=8 TASKEXECUTER=16 NAVIGATOR=32 PROCESSOR=64 "
                  "NETWORKNODE=128 VISUALTOOL=256 CONVEYOR=512 TRAFFICCONTROLLER=1024 MTBFMTTR=2048 MERGESORT=4096 "
                  "WANTCONNECTLOGIC=8192 ODT=1 FLUIDOBJECT=16384 FLUIDOBJECT2=32768 LINECONTROLLER=65536 "
                  "SYSTEMCONTROLLER=131072 FLEXSIMEVENTHANDLER=262144 OWNERDRAWN=2147483648",
    "DATATYPE_": "NUMBER=1 STRING=2 COUPLING=3 OBJECT=4 PARTICLE=5 BUNDLE=6 SIMPLE=7",
    "STAT_": "AVERAGE=1 MEAN=1 CURRENT=2 MIN=3 MAX=4 TIME_AT_VALUE=5",
}  # fmt: skip


@pytest.mark.parametrize("prefix", CONSTANTS)
def test_constants(prefix):
    wanted = dict(pair.split("=") for pair in CONSTANTS[prefix].split())
    assert {name: constants().get(prefix + name) for name in wanted} == {n: int(v) for n, v in wanted.items()}
