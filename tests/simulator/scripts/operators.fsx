Object team = Object.create("Dispatcher"); team.name = "Team";
for (int i = 1; i <= 2; i++) {
    Object worker = Object.create("Operator"); worker.name = "Worker" + i; worker.location = Vec3(3 * i, -5, 0);
    worker.setProperty("MaxSpeed", 2); worker.setProperty("LoadTime", 1); worker.setProperty("UnloadTime", 1);
    contextdragconnection(team, worker, "A");
}
Object truck = Object.create("Transporter"); truck.name = "Truck"; truck.setProperty("Capacity", 2);
Object source = Object.create("Source"); source.name = "Arrivals"; source.setProperty("InterArrivalTime", 12);
Object queue = Object.create("Queue"); queue.name = "Line"; queue.location = Vec3(5, 0, 0);
queue.setProperty("UseTransport", 1); contextdragconnection(queue, truck, "S");
Object sink = Object.create("Sink"); sink.name = "Exit"; sink.location = Vec3(30, 0, 0);
contextdragconnection(source, queue, "A");
for (int i = 1; i <= 2; i++) {
    Object station = Object.create("Processor"); station.name = "Station" + i; station.location = Vec3(15, 6 * i, 0);
    station.setProperty("ProcessTime", "return uniform(8, 16, getstream(current));");
    station.setProperty("SetupTime", 2); station.setProperty("UseSetupOperators", i == 1);
    station.setProperty("UseProcessOperators", 1); station.setProperty("NumProcessOperators", 1);
    station.setProperty("OperatorPriority", i);
    contextdragconnection(station, team, "S"); contextdragconnection(queue, station, "A");
    contextdragconnection(station, sink, "A");
}
